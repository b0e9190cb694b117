/* A light load generator for the benchmarks: HTTP/1.1 with keep-alive, one thread, epoll.
 *
 *   load MODE --port P [--path /v1/chat/completions] [--connections C] [--total N] [--for MS] [--seconds S]
 *             [--records R] [--pace MS] [--ramp MS] [--body-bytes B] [--shape chat|completions]
 *
 *   json     C connections, whole answers
 *   stream   C streams at a time, each of R records
 *   paced    C streams once, each of R records at a pace
 *   one      one stream after the other on one connection
 *   hold     C streams are opened and held for --for milliseconds, then left
 *
 * No request is started after N of them or after --for milliseconds, and nothing lasts longer than --seconds.
 * --ramp spreads the first requests of the connections over so many milliseconds.
 *
 * The last line of stdout is one JSON object. In `paced` and `hold` two objects with "event" come before it:
 * "open" when every stream has had its first record, "ending" when the first of them ends. Between the two the
 * set of streams does not change, so that is where a proxy's CPU time for each record is to be read.
 */
#include "common.h"
#include <getopt.h>

enum {
    EVENTS = 256,
    CONNECTIONS = 8192,
    HEAD_ROOM = 8 * 1024,
    LINE_ROOM = 8 * 1024, /* what of a line is looked at; the rest is skipped */
    READ_BYTES = 64 * 1024,
    SAMPLES = 4 * 1000 * 1000,
};

enum state { NOT_STARTED, SENDING, HEAD, BODY, RESTING };
enum body { COUNTED, TO_END, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct connection {
    int fd;
    uint32_t events;
    enum state state;
    enum body body;
    bool reused, heard, done_seen, closing, ended;
    int status;
    size_t sent;
    int64_t started_ns, left; /* `left`: bytes of the body or chunk; while reading a chunk's size, its value */
    long records, stamps;
    size_t head_used, line_used;
    char head[HEAD_ROOM + 1], line[LINE_ROOM + 1];
};

/* Durations in nanoseconds. */
struct samples {
    int64_t *values;
    size_t used, room;
};

static struct {
    const char *mode, *path, *shape;
    long port, connections, total, soft_ms, seconds, records, pace, ramp, body_bytes;
    bool streaming, marks, hold;
} plan = {.path = "/v1/chat/completions", .shape = "chat", .connections = 1, .total = 1000 * 1000,
          .soft_ms = 5000, .seconds = 60, .records = 100};

static struct {
    long started, finished, in_flight, records, stamps, errors, retries, opened;
    bool ending;
    int64_t begin_ns, last_ns;
    char first_error[160];
} tally;

static int poller;
static char *request;
static size_t request_bytes;
static struct samples first_records, delays, latencies;

/* --- figures -------------------------------------------------------------------------------------------- */

static void sample(struct samples *s, int64_t value)
{
    if (s->used == SAMPLES)
        return;
    if (s->used == s->room) {
        s->room = s->room ? 2 * s->room : 1024;
        s->values = must(realloc(s->values, s->room * sizeof *s->values));
    }
    s->values[s->used++] = value;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The value in microseconds below which `share` of the sorted samples lie; 0 without samples. */
static double quantile(const struct samples *s, double share)
{
    if (s->used == 0)
        return 0;
    size_t at = (size_t)((double)s->used * share);
    return (double)s->values[at < s->used ? at : s->used - 1] / 1000.0;
}

static void print_samples(const char *name, struct samples *s)
{
    if (s->used > 0)
        qsort(s->values, s->used, sizeof *s->values, compare);
    printf(", \"%s_us_median\": %.1f, \"%s_us_p99\": %.1f", name, quantile(s, 0.5), name, quantile(s, 0.99));
}

static void print_result(void)
{
    double wall = (double)(tally.last_ns - tally.begin_ns) / (double)NS_PER_SECOND;
    double per_second = wall > 0 ? 1 / wall : 0;
    printf("{\"mode\": \"%s\", \"wall_s\": %.4f, \"requests\": %ld, \"records\": %ld, \"errors\": %ld, \"retries\": %ld",
           plan.mode, wall, tally.finished, tally.records, tally.errors, tally.retries);
    printf(", \"requests_per_s\": %.2f, \"records_per_s\": %.2f", (double)tally.finished * per_second,
           (double)tally.records * per_second);
    print_samples("first_record", &first_records);
    print_samples("delay", &delays);
    print_samples("latency", &latencies);
    printf(", \"first_error\": \"%s\"}\n", tally.first_error);
}

static void mark(const char *event)
{
    printf("{\"event\": \"%s\", \"records\": %ld}\n", event, tally.records);
    fflush(stdout);
}

static void mark_ending(void)
{
    if (plan.marks && !tally.ending)
        mark("ending");
    tally.ending = true;
}

/* The reason is a text of this program; what a server said is not repeated. */
static void count_error(const char *reason, int status)
{
    if (tally.errors++ == 0)
        snprintf(tally.first_error, sizeof tally.first_error, "%s (status %d)", reason, status);
}

/* --- the request ---------------------------------------------------------------------------------------- */

/* One request as an SDK sends it; all requests of a run are the same bytes. */
static void write_request(void)
{
    size_t room = (size_t)plan.body_bytes + 2048;
    char *body = must(malloc(room)), *filler = must(calloc(1, (size_t)plan.body_bytes + 1)), wish[64];
    const char *words = "some words of a long text ";
    for (long i = 0; i < plan.body_bytes; i++)
        filler[i] = words[(size_t)i % strlen(words)];
    snprintf(wish, sizeof wish, "records=%ld pace=%ld ", plan.records, plan.pace);
    const char *stream = plan.streaming ? ",\"stream\":true" : "";
    int length;
    if (strcmp(plan.shape, "completions") == 0)
        length = snprintf(body, room,
                          "{\"model\":\"bench\",\"prompt\":\"%sWrite a short paragraph about the sea and the weather.%s\","
                          "\"temperature\":0.7,\"top_p\":0.95,\"max_tokens\":512%s}",
                          wish, filler, stream);
    else
        length = snprintf(body, room,
                          "{\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant. Answer in a few "
                          "plain sentences, and say so when you do not know.\"},{\"role\":\"user\",\"content\":\"%sWrite a "
                          "short paragraph about the sea and the weather.%s\"}],\"model\":\"bench\",\"temperature\":0.7,"
                          "\"top_p\":0.95,\"max_tokens\":512,\"user\":\"benchmark\"%s}",
                          wish, filler, stream);
    request = must(malloc((size_t)length + 1024));
    int head = snprintf(request, 1024,
                        "POST %.200s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nAccept: application/json\r\n"
                        "Content-Type: application/json\r\nUser-Agent: OpenAI/Python 1.99.0\r\n"
                        "Authorization: Bearer x\r\nX-Stainless-Lang: python\r\nX-Stainless-Retry-Count: 0\r\n"
                        "Content-Length: %d\r\n\r\n",
                        plan.path, plan.port, length);
    memcpy(request + head, body, (size_t)length);
    request_bytes = (size_t)head + (size_t)length;
    free(body);
    free(filler);
}

/* --- connections ---------------------------------------------------------------------------------------- */

static void watch(struct connection *c, uint32_t events)
{
    if (c->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
    c->events = events;
}

static void hang_up(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->events = 0;
    c->reused = false;
}

static bool connect_to_port(struct connection *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    send_at_once(c->fd);
    struct sockaddr_in address = loopback(plan.port);
    return connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS;
}

static void finish(struct connection *c, const char *error);

/* Sends what is left of the request; the clock of an answer starts with its first byte. */
static void send_request(struct connection *c)
{
    if (c->sent == 0)
        c->started_ns = now_ns();
    ssize_t sent = send(c->fd, request + c->sent, request_bytes - c->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        finish(c, "sending failed");
        return;
    }
    if (sent > 0)
        c->sent += (size_t)sent;
    if (c->sent == request_bytes)
        c->state = HEAD;
    watch(c, c->sent == request_bytes ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

/* Prepares for one answer and sends, or waits for the connection that is being made. */
static void ask(struct connection *c)
{
    c->state = SENDING;
    c->sent = c->head_used = c->line_used = 0;
    c->heard = c->done_seen = c->closing = c->ended = false;
    c->records = c->stamps = 0;
    c->status = 0;
    if (c->fd >= 0) {
        c->reused = true;
        send_request(c);
    } else if (connect_to_port(c)) {
        watch(c, EPOLLIN | EPOLLOUT);
    } else {
        finish(c, "no connection");
    }
}

/* Starts the next request of a connection, when there is one to start. */
static void start(struct connection *c)
{
    c->state = RESTING;
    bool late = !plan.marks && now_ns() > tally.begin_ns + plan.soft_ms * NS_PER_MS;
    if (late || tally.started >= plan.total)
        return;
    tally.started++;
    tally.in_flight++;
    ask(c);
}

static const char *fault(const struct connection *c)
{
    if (c->status != 200)
        return "refused";
    if (plan.streaming && !c->done_seen)
        return "no [DONE]";
    if (plan.streaming && c->stamps != plan.records)
        return "records are missing or doubled";
    if (!plan.streaming && memmem(c->line, c->line_used, "\"choices\"", 9) == NULL)
        return "not a completion";
    return NULL;
}

static void finish(struct connection *c, const char *error)
{
    /* A server may close a resting connection while the next request is on its way; SDKs send that again. */
    if (error != NULL && c->reused && !c->heard) {
        tally.retries++;
        hang_up(c);
        ask(c);
        return;
    }
    mark_ending();
    if (error == NULL)
        error = fault(c);
    tally.in_flight--;
    tally.last_ns = now_ns();
    if (error != NULL) {
        count_error(error, c->status);
        hang_up(c);
        c->state = RESTING;
        if (c->heard)
            start(c);
        return; /* a server that does not answer at all is not asked again and again */
    }
    tally.finished++;
    sample(&latencies, tally.last_ns - c->started_ns);
    if (c->closing)
        hang_up(c);
    start(c);
}

/* --- reading the answer --------------------------------------------------------------------------------- */

static void read_line(struct connection *c, int64_t now)
{
    if (c->line_used < 5 || memcmp(c->line, "data:", 5) != 0)
        return;
    c->line[c->line_used] = '\0';
    if (strstr(c->line, "[DONE]") != NULL) {
        c->done_seen = true;
        return;
    }
    tally.records++;
    if (c->records++ == 0) {
        sample(&first_records, now - c->started_ns);
        if (++tally.opened == plan.connections && plan.marks)
            mark("open");
    }
    for (const char *at = strstr(c->line, " t="); at != NULL; at = strstr(at + 3, " t=")) {
        c->stamps++;
        sample(&delays, now - strtoll(at + 3, NULL, 10));
    }
}

static void keep(struct connection *c, const char *data, size_t length)
{
    size_t room = LINE_ROOM - c->line_used, taken = length < room ? length : room;
    memcpy(c->line + c->line_used, data, taken);
    c->line_used += taken;
}

/* Takes decoded bytes of a body: lines of a stream, or the beginning of a whole answer. */
static void read_body(struct connection *c, const char *data, size_t length, int64_t now)
{
    if (!plan.streaming) {
        if (c->records++ == 0 && length > 0)
            sample(&first_records, now - c->started_ns);
        keep(c, data, length);
        return;
    }
    while (length > 0) {
        const char *eol = memchr(data, '\n', length);
        keep(c, data, eol != NULL ? (size_t)(eol - data) : length);
        if (eol == NULL)
            return;
        read_line(c, now);
        c->line_used = 0;
        length -= (size_t)(eol + 1 - data);
        data = eol + 1;
    }
}

static int hex_value(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    character |= 0x20;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* One step through a chunked body, of at least one byte; returns how many bytes it took, or -1. */
static ssize_t read_chunked(struct connection *c, const char *data, size_t length, int64_t now)
{
    const char *eol = memchr(data, '\n', length);
    size_t through = eol != NULL ? (size_t)(eol + 1 - data) : length;
    switch (c->body) {
    case CHUNK_SIZE:
        for (size_t i = 0; i < through && hex_value(data[i]) >= 0; i++)
            c->left = c->left * 16 + hex_value(data[i]);
        if (c->left < 0 || c->left > INT32_MAX)
            return -1;
        if (eol != NULL)
            c->body = c->left > 0 ? CHUNK_DATA : TRAILER;
        return (ssize_t)through;
    case CHUNK_DATA:
        if ((int64_t)length > c->left)
            length = (size_t)c->left;
        read_body(c, data, length, now);
        c->left -= (int64_t)length;
        if (c->left == 0)
            c->body = CHUNK_END;
        return (ssize_t)length;
    case CHUNK_END:
        if (eol != NULL)
            c->body = CHUNK_SIZE;
        return (ssize_t)through;
    default: /* trailer lines end with an empty one; `left` counts the bytes of the line before this piece */
        if (eol != NULL)
            c->ended = c->left + (int64_t)through <= 2;
        c->left = eol != NULL ? 0 : c->left + (int64_t)through;
        return (ssize_t)through;
    }
}

/* Takes bytes of the body up to its end; returns how many it took, or -1. */
static ssize_t read_some(struct connection *c, const char *data, size_t length, int64_t now)
{
    if (c->body != COUNTED && c->body != TO_END)
        return read_chunked(c, data, length, now);
    if (c->body == COUNTED && (int64_t)length > c->left)
        length = (size_t)c->left;
    read_body(c, data, length, now);
    c->left -= (int64_t)length;
    c->ended = c->body == COUNTED && c->left == 0;
    return (ssize_t)length;
}

/* Adds to the head; returns how many bytes it took, or -1 for a head that is too long. */
static ssize_t read_head(struct connection *c, const char *data, size_t length)
{
    size_t room = HEAD_ROOM - c->head_used, taken = length < room ? length : room, before = c->head_used;
    memcpy(c->head + before, data, taken);
    c->head_used += taken;
    c->head[c->head_used] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return c->head_used < HEAD_ROOM ? (ssize_t)taken : -1;
    taken = (size_t)(end + 4 - c->head) - before;
    c->head[end + 2 - c->head] = '\0';
    if (sscanf(c->head, "HTTP/1.%*d %d", &c->status) != 1)
        return -1;
    const char *counted = header(c->head, "content-length:"), *coding = header(c->head, "transfer-encoding:");
    const char *connection = header(c->head, "connection:");
    bool chunked = coding != NULL && strncasecmp(coding, "chunked", 7) == 0;
    c->left = chunked || counted == NULL ? 0 : strtoll(counted, NULL, 10);
    c->body = chunked ? CHUNK_SIZE : counted != NULL ? COUNTED : TO_END;
    c->closing = c->body == TO_END || (connection != NULL && strncasecmp(connection, "close", 5) == 0);
    c->ended = c->body == COUNTED && c->left <= 0;
    c->state = BODY;
    return (ssize_t)taken;
}

static void receive(struct connection *c)
{
    static char data[READ_BYTES];
    ssize_t got = recv(c->fd, data, sizeof data, 0);
    int64_t now = now_ns();
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        bool whole = got == 0 && c->state == BODY && c->body == TO_END;
        if (c->state == RESTING)
            hang_up(c);
        else
            finish(c, whole ? NULL : "cut off");
        return;
    }
    if (c->state == RESTING) {
        hang_up(c);
        return;
    }
    c->heard = true;
    for (ssize_t at = 0; at < got && !c->ended;) {
        ssize_t taken = c->state == BODY ? read_some(c, data + at, (size_t)(got - at), now)
                                         : read_head(c, data + at, (size_t)(got - at));
        if (taken < 0) {
            finish(c, "not HTTP");
            return;
        }
        at += taken;
    }
    if (c->ended)
        finish(c, NULL);
}

/* --- the run -------------------------------------------------------------------------------------------- */

static void work(struct connection *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->state == SENDING && (events & EPOLLERR))
        finish(c, "no connection");
    else if (c->state == SENDING && (events & EPOLLOUT))
        send_request(c);
    else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(c);
}

/* When the next connection is to start; they are spread over the ramp. */
static int64_t start_time(long index)
{
    return tally.begin_ns + plan.ramp * NS_PER_MS * index / plan.connections;
}

static void run(struct connection *all)
{
    struct epoll_event events[EVENTS];
    int64_t hard_end = tally.begin_ns + plan.seconds * NS_PER_SECOND, hold_end = hard_end;
    long begun = 0;
    while (now_ns() < hard_end && now_ns() < hold_end && (begun < plan.connections || tally.in_flight > 0)) {
        while (begun < plan.connections && start_time(begun) <= now_ns())
            start(&all[begun++]);
        int ready = epoll_wait(poller, events, EVENTS, begun < plan.connections ? wait_ms(start_time(begun), 20) : 20);
        for (int i = 0; i < ready; i++)
            work(events[i].data.ptr, events[i].events);
        if (plan.hold && hold_end == hard_end && tally.opened >= plan.connections)
            hold_end = now_ns() + plan.soft_ms * NS_PER_MS;
    }
    mark_ending();
    if (tally.in_flight > 0)
        tally.last_ns = now_ns();
    if (plan.hold && tally.opened >= plan.connections)
        tally.finished += tally.in_flight;
    else
        for (; tally.in_flight > 0; tally.in_flight--)
            count_error("not finished in time", 0);
}

static void read_plan(int count, char **arguments)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},    {"path", 1, NULL, 'u'},    {"connections", 1, NULL, 'c'}, {"total", 1, NULL, 'n'},
        {"for", 1, NULL, 'f'},     {"seconds", 1, NULL, 's'}, {"records", 1, NULL, 'r'},     {"pace", 1, NULL, 'm'},
        {"ramp", 1, NULL, 'a'},    {"shape", 1, NULL, 'h'},   {"body-bytes", 1, NULL, 'b'},  {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': plan.port = number(optarg, 1, 65535); break;
        case 'u': plan.path = optarg; break;
        case 'c': plan.connections = number(optarg, 1, CONNECTIONS); break;
        case 'n': plan.total = number(optarg, 1, 100 * 1000 * 1000); break;
        case 'f': plan.soft_ms = number(optarg, 1, 3600 * 1000); break;
        case 's': plan.seconds = number(optarg, 1, 3600); break;
        case 'r': plan.records = number(optarg, 0, 10 * 1000 * 1000); break;
        case 'm': plan.pace = number(optarg, 0, 60 * 1000); break;
        case 'a': plan.ramp = number(optarg, 0, 60 * 1000); break;
        case 'h': plan.shape = optarg; break;
        case 'b': plan.body_bytes = number(optarg, 0, 64 * 1024 * 1024); break;
        default: exit(2);
        }
    }
    plan.mode = optind < count ? arguments[optind] : "";
    if (plan.port == 0 || strstr(" json stream paced one hold ", plan.mode) == NULL || *plan.mode == '\0') {
        fprintf(stderr, "use: load json|stream|paced|one|hold --port P [options]\n");
        exit(2);
    }
    plan.streaming = strcmp(plan.mode, "json") != 0;
    plan.hold = strcmp(plan.mode, "hold") == 0;
    plan.marks = plan.hold || strcmp(plan.mode, "paced") == 0;
    if (strcmp(plan.mode, "one") == 0)
        plan.connections = 1;
    if (plan.marks)
        plan.total = plan.connections;
}

int main(int count, char **arguments)
{
    read_plan(count, arguments);
    end_with_parent();
    write_request();
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = must(calloc((size_t)plan.connections, sizeof *all));
    for (long i = 0; i < plan.connections; i++)
        all[i].fd = -1;
    tally.begin_ns = tally.last_ns = now_ns();
    run(all);
    print_result();
    free(all);
    return tally.errors > 0 ? 1 : 0;
}

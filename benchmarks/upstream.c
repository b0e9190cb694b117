/* A light OpenAI-compatible upstream for the benchmarks: HTTP/1.1 with keep-alive, one thread, epoll.
 *
 *   upstream [PORT [SECONDS]]     PORT 0 chooses one; the port is the first line of stdout. Ends after SECONDS.
 *
 * The request says what it wants in its text, so that the wish survives any proxy: "records=100 pace=50" asks
 * for 100 content records, one every 50 ms; pace=0 is as fast as the socket takes them. Each content record
 * carries " t=NANOSECONDS", the moment it was written.
 *
 * Every record is an HTTP chunk of its own, as model servers send them, and as many as fit go into one write.
 */
#include "common.h"

enum {
    HEAD_LIMIT = 16 * 1024,
    BODY_LIMIT = 8 * 1024 * 1024,
    READ_ROOM = 16 * 1024,
    OUT_BYTES = 16 * 1024,
    ITEM_ROOM = 1024, /* no head, record or JSON answer is longer */
    EVENTS = 256,
    CONNECTIONS = 16384,
};

enum stage { IDLE, CONTENT, FINISH, USAGE, DONE, LAST_CHUNK };

struct connection {
    int fd;
    uint32_t events; /* what epoll watches */
    char *in;        /* the request, head and body, with a NUL behind it */
    size_t in_used, in_room;
    size_t head_bytes;      /* 0 until the head is whole */
    size_t body_end;        /* where the decoded body ends in `in` */
    size_t raw_at;          /* where the undecoded rest of a chunked body begins */
    bool chunked, body_whole, closing;
    char *out;
    size_t out_used, out_sent;
    enum stage stage;
    bool usage;
    long records_left;
    int64_t pace_ns, due_ns;
    long in_queue; /* place in `queue`, -1 when not waiting for its time */
};

static int poller;
static long connections;
static struct connection *queue[CONNECTIONS]; /* binary heap: the next record due is at 0 */
static long queued;

/* --- the queue of paced streams ------------------------------------------------------------------------- */

static void place(struct connection *c, long at)
{
    queue[at] = c;
    c->in_queue = at;
}

static void sift(struct connection *c, long at)
{
    while (at > 0 && queue[(at - 1) / 2]->due_ns > c->due_ns) {
        place(queue[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (;;) {
        long child = 2 * at + 1;
        if (child + 1 < queued && queue[child + 1]->due_ns < queue[child]->due_ns)
            child++;
        if (child >= queued || queue[child]->due_ns >= c->due_ns)
            break;
        place(queue[child], at);
        at = child;
    }
    place(c, at);
}

static void wait_for_due(struct connection *c)
{
    if (c->in_queue < 0)
        sift(c, queued++);
}

static void leave_queue(struct connection *c)
{
    long at = c->in_queue;
    if (at < 0)
        return;
    c->in_queue = -1;
    struct connection *last = queue[--queued];
    if (last != c)
        sift(last, at);
}

/* --- connections ---------------------------------------------------------------------------------------- */

static void hang_up(struct connection *c)
{
    leave_queue(c);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
    connections--;
}

static void watch(struct connection *c, uint32_t events)
{
    if (c->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
    c->events = events;
}

static void welcome(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (connections >= CONNECTIONS) {
            close(fd);
            continue;
        }
        connections++;
        send_at_once(fd);
        struct connection *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        c->in_queue = -1;
        c->in_room = READ_ROOM;
        c->in = must(malloc(c->in_room + 1));
        c->out = must(malloc(OUT_BYTES));
        watch(c, EPOLLIN);
    }
}

/* --- what is answered ----------------------------------------------------------------------------------- */

static void add(struct connection *c, const char *text)
{
    size_t length = strlen(text);
    if (c->out_used + length <= OUT_BYTES) { /* callers leave ITEM_ROOM */
        memcpy(c->out + c->out_used, text, length);
        c->out_used += length;
    }
}

static void add_whole(struct connection *c, const char *status, const char *json)
{
    char text[ITEM_ROOM];
    snprintf(text, sizeof text,
             "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(json),
             c->closing ? "Connection: close\r\n" : "", json);
    add(c, text);
}

static void add_chunk(struct connection *c, const char *record)
{
    char text[ITEM_ROOM];
    snprintf(text, sizeof text, "%zx\r\n%s\r\n", strlen(record), record);
    add(c, text);
}

static void add_record(struct connection *c, const char *choices)
{
    char text[ITEM_ROOM - 32]; /* which leaves room for the chunk around it */
    snprintf(text, sizeof text,
             "data: {\"id\":\"chatcmpl-benchmark0000000000000000000\",\"object\":\"chat.completion.chunk\","
             "\"created\":1700000000,\"model\":\"bench\",%s}\n\n",
             choices);
    add_chunk(c, text);
}

static void add_delta(struct connection *c, const char *delta, const char *finish)
{
    char text[ITEM_ROOM / 2];
    snprintf(text, sizeof text, "\"choices\":[{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}]", delta,
             finish);
    add_record(c, text);
}

static void add_content(struct connection *c)
{
    char text[64];
    snprintf(text, sizeof text, "{\"content\":\" t=%lld\"}", (long long)now_ns());
    add_delta(c, text, "null");
}

#define USAGE_JSON "\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":48,\"total_tokens\":72}"

static void add_answer(struct connection *c)
{
    add_whole(c, "200 OK",
              "{\"id\":\"chatcmpl-benchmark0000000000000000000\",\"object\":\"chat.completion\",\"created\":1700000000,"
              "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
              "\"The answer of the benchmark is a short paragraph of plain text, as long as a usual reply to a short "
              "question. It says nothing of interest, and it says it in about three hundred characters, so that the "
              "whole document comes to the size of a small completion.\"},\"logprobs\":null,"
              "\"finish_reason\":\"stop\"}]," USAGE_JSON "}");
}

/* Adds the next item of the stream; false when a paced stream has to wait for its time. */
static bool add_next(struct connection *c)
{
    switch (c->stage) {
    case CONTENT:
        if (c->records_left == 0) {
            c->stage = FINISH;
            return true;
        }
        if (c->pace_ns > 0) {
            if (c->due_ns > now_ns())
                return false;
            c->due_ns += c->pace_ns; /* from the plan and not from now, so that a late record delays no other */
        }
        c->records_left--;
        add_content(c);
        return true;
    case FINISH:
        add_delta(c, "{}", "\"stop\"");
        c->stage = c->usage ? USAGE : DONE;
        return true;
    case USAGE:
        add_record(c, "\"choices\":[]," USAGE_JSON);
        c->stage = DONE;
        return true;
    case DONE:
        add_chunk(c, "data: [DONE]\n\n");
        c->stage = LAST_CHUNK;
        return true;
    case LAST_CHUNK:
        add(c, "0\r\n\r\n");
        c->stage = IDLE;
        return true;
    case IDLE:
        break;
    }
    return false;
}

/* Sends until there is nothing to send or the socket is full; false when the client has gone. */
static bool pump(struct connection *c)
{
    for (;;) {
        if (c->out_used == 0) {
            bool more = true;
            while (more && c->stage != IDLE && OUT_BYTES - c->out_used >= ITEM_ROOM)
                more = add_next(c);
            if (!more)
                wait_for_due(c);
        }
        if (c->out_used == 0) {
            watch(c, EPOLLIN);
            return true;
        }
        ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_used - c->out_sent, MSG_NOSIGNAL);
        if (sent < 0) {
            watch(c, EPOLLIN | EPOLLOUT);
            return errno == EAGAIN;
        }
        c->out_sent += (size_t)sent;
        if (c->out_sent == c->out_used)
            c->out_sent = c->out_used = 0;
    }
}

/* --- what is asked -------------------------------------------------------------------------------------- */

/* Reads the head when it is whole; false for a request that is refused by hanging up. */
static bool read_head(struct connection *c)
{
    char *end = memmem(c->in, c->in_used, "\r\n\r\n", 4);
    if (end == NULL)
        return c->in_used <= HEAD_LIMIT;
    end[2] = '\0'; /* the blank line is not needed again */
    const char *length = header(c->in, "content-length:");
    const char *coding = header(c->in, "transfer-encoding:");
    const char *connection = header(c->in, "connection:");
    long body = length != NULL ? strtol(length, NULL, 10) : 0;
    if (body < 0 || body > BODY_LIMIT)
        return false;
    c->chunked = coding != NULL && strncasecmp(coding, "chunked", 7) == 0;
    c->closing = connection != NULL && strncasecmp(connection, "close", 5) == 0;
    c->head_bytes = (size_t)(end + 4 - c->in);
    c->raw_at = c->head_bytes;
    c->body_end = c->chunked ? c->head_bytes : c->head_bytes + (size_t)body;
    return true;
}

/* Decodes in place every chunk that is whole; trailers are not expected. False for what is no chunk. */
static bool read_chunks(struct connection *c)
{
    while (!c->body_whole) {
        char *line = c->in + c->raw_at;
        char *eol = memmem(line, c->in_used - c->raw_at, "\r\n", 2);
        if (eol == NULL)
            return c->in_used - c->raw_at < 64;
        long size = strtol(line, NULL, 16);
        if (size < 0 || size > BODY_LIMIT)
            return false;
        size_t whole = (size_t)(eol + 2 - line) + (size_t)size + 2;
        if (c->in_used - c->raw_at < whole)
            return true;
        memmove(c->in + c->body_end, eol + 2, (size_t)size);
        c->body_end += (size_t)size;
        c->raw_at += whole;
        c->body_whole = size == 0;
    }
    return true;
}

static bool says(const char *body, size_t length, const char *key, const char *value)
{
    const char *found = memmem(body, length, key, strlen(key));
    if (found == NULL)
        return false;
    found += strlen(key);
    found += strspn(found, " ");
    return strncmp(found, value, strlen(value)) == 0;
}

static long asked(const char *body, size_t length, const char *key, long otherwise, long most)
{
    const char *found = memmem(body, length, key, strlen(key));
    long value = found != NULL ? strtol(found + strlen(key), NULL, 10) : otherwise;
    return value < 0 ? 0 : value > most ? most : value;
}

static void answer_chat(struct connection *c, const char *body, size_t length)
{
    if (!says(body, length, "\"stream\":", "true")) {
        add_answer(c);
        return;
    }
    c->usage = says(body, length, "\"include_usage\":", "true");
    c->records_left = asked(body, length, "records=", 20, 10 * 1000 * 1000);
    c->pace_ns = asked(body, length, "pace=", 0, 60 * 1000) * NS_PER_MS;
    c->due_ns = now_ns() + c->pace_ns;
    c->stage = CONTENT;
    add(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
           "Transfer-Encoding: chunked\r\n\r\n");
    add_delta(c, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null");
}

static void answer(struct connection *c)
{
    const char *body = c->in + c->head_bytes;
    if (strncmp(c->in, "POST /v1/chat/completions ", 26) == 0)
        answer_chat(c, body, c->body_end - c->head_bytes);
    else if (strncmp(c->in, "GET /v1/models ", 15) == 0)
        add_whole(c, "200 OK",
                  "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1700000000,"
                  "\"owned_by\":\"benchmark\"}]}");
    else
        add_whole(c, "404 Not Found", "{\"error\":{\"message\":\"no such route\",\"type\":\"invalid_request_error\"}}");
}

/* Forgets the request that was answered; what was sent behind it moves to the front. */
static void forget_request(struct connection *c)
{
    size_t end = c->chunked ? c->raw_at : c->body_end;
    memmove(c->in, c->in + end, c->in_used - end);
    c->in_used -= end;
    c->head_bytes = 0;
    c->body_whole = false;
}

/* Whether the last answer of a connection is out, after which the client wants it closed. */
static bool finished(const struct connection *c)
{
    return c->closing && c->head_bytes == 0 && c->stage == IDLE && c->out_used == 0;
}

/* Answers as many requests as are whole, one after the other; false when the connection is over. */
static bool serve(struct connection *c)
{
    while (c->stage == IDLE && c->out_used == 0) {
        c->in[c->in_used] = '\0';
        if (c->head_bytes == 0 && !read_head(c))
            return false;
        if (c->head_bytes == 0)
            return true;
        if (c->chunked && !read_chunks(c))
            return false;
        if (!(c->chunked ? c->body_whole : c->in_used >= c->body_end))
            return true;
        answer(c);
        forget_request(c);
        if (!pump(c) || finished(c))
            return false;
    }
    return true;
}

static bool receive(struct connection *c)
{
    if (c->in_room - c->in_used < READ_ROOM / 2) {
        if (c->in_room > 2 * (size_t)BODY_LIMIT)
            return false;
        c->in_room *= 2;
        c->in = must(realloc(c->in, c->in_room + 1));
    }
    ssize_t got = recv(c->fd, c->in + c->in_used, c->in_room - c->in_used, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    c->in_used += (size_t)got;
    return serve(c);
}

/* Sends on, and turns to the next request when the answer is out; false when the connection is over. */
static bool proceed(struct connection *c)
{
    return pump(c) && !finished(c) && serve(c);
}

static void work(struct connection *c, uint32_t events)
{
    bool alive = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        alive = receive(c);
    if (alive && (events & EPOLLOUT))
        alive = proceed(c);
    if (!alive)
        hang_up(c);
}

static void send_due(void)
{
    while (queued > 0 && queue[0]->due_ns <= now_ns()) {
        struct connection *c = queue[0];
        leave_queue(c);
        if (!proceed(c))
            hang_up(c);
    }
}

static int listen_on(long port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = loopback(port);
    socklen_t size = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0)
        die("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **arguments)
{
    long port = count > 1 ? number(arguments[1], 0, 65535) : 0;
    long seconds = count > 2 ? number(arguments[2], 1, 86400) : 900;
    int64_t end = now_ns() + seconds * NS_PER_SECOND;
    end_with_parent();
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(port);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.ptr = NULL}};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &events[0]);
    while (now_ns() < end) {
        int ready = epoll_wait(poller, events, EVENTS, queued > 0 ? wait_ms(queue[0]->due_ns, 1000) : 1000);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == NULL)
                welcome(listener);
            else
                work(events[i].data.ptr, events[i].events);
        }
        send_due();
    }
    return 0;
}

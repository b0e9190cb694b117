"""Makes ``twistd chatmock`` known. Nothing else may be imported here: importing Klein would choose a reactor."""

from twisted.application.service import ServiceMaker

chatmock = ServiceMaker(
    "chatmock", "chatmock.tap", "One daemon that answers OpenAI clients from your own accounts.", "chatmock"
)

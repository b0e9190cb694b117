"""``twistd -ny chatmock.tac``: the daemon with all its settings from the environment (and CHATMOCK_CONFIG)."""

from twisted.application.service import Application

from chatmock.tap import Options, makeService

options = Options()
options.parseOptions([])
application = Application("chatmock")
makeService(options).setServiceParent(application)

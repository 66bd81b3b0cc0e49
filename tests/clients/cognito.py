"""Moto's Cognito on a free port of loopback; prints {"url": …} once it listens."""

import json

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)
server._thread.join()

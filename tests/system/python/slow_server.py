# SPDX-License-Identifier: Apache-2.0
"""slow_server.py - an HTTP server that answers after a quarter of a second

Usage: slow_server.py PORT

Context: what application.py asks; not watched
"""

import http.server
import sys
import time


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.25)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"slow")


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Slow).serve_forever()

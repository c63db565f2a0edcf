// SPDX-License-Identifier: Apache-2.0
//
// hello.js - the smallest server that node's own manual shows
//
// Context: a victim of the bench: node hello.js PORT
'use strict';

const http = require('http');

http.createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end('hello\n');
}).listen(Number(process.argv[2]), '127.0.0.1');

// An orderly end, so that atexit handlers run.
process.on('SIGTERM', () => process.exit(0));

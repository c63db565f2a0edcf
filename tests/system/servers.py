# SPDX-License-Identifier: Apache-2.0
"""servers.py - the servers of the tests, as Debian ships them

Each function starts one in a Place, on a port of its own, and returns the program and the port. What is not installed
makes the case skip with that reason.

Context: tests; Python's standard library only
"""

import importlib.util
import pathlib

import harness

PYTHON = "/usr/bin/python3"


def redis(place, *options, before=(), **how):
    port = harness.free_port()
    argv = [*before, harness.need("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--dir", place.folder, "--enable-debug-command", "yes", *options]
    return place.start("redis", argv, port=port, **how), port


NGINX = """
load_module /usr/lib/nginx/modules/ngx_http_perl_module.so;
user www-data;
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


NGINX_LOCATIONS = """
location /sleep {
    perl 'sub {
        my $r = shift; select(undef, undef, undef, 0.4);
        $r->send_http_header("text/plain"); $r->print("slept"); return OK; }';
}
location /busy {
    perl 'sub {
        use Time::HiRes; my $r = shift; my $end = Time::HiRes::time() + 0.4; my $x = 0;
        while (Time::HiRes::time() < $end) { $x = $x * 3 + $_ for 1 .. 1000; }
        $r->send_http_header("text/plain"); $r->print("computed"); return OK; }';
}
location / { return 200 "hello"; }
"""


def nginx(place, locations=NGINX_LOCATIONS, **how):
    harness.need_root()
    program = harness.need("nginx")
    if not pathlib.Path("/usr/lib/nginx/modules/ngx_http_perl_module.so").exists():
        raise harness.Skip("libnginx-mod-http-perl is not installed")
    port = harness.free_port()
    config = place.write("nginx.conf", NGINX.format(folder=place.folder, port=port, locations=locations))
    return place.start("nginx", [program, "-c", config], port=port, **how), port


# As /etc/haproxy/haproxy.cfg of the package, without its certificates; a socket of its own; Lua may run for long.
HAPROXY = """
global
    log /dev/log local0
    chroot /var/lib/haproxy
    stats socket {folder}/admin.sock mode 660 level admin
    stats timeout 30s
    user haproxy
    group haproxy
    {more}
    tune.lua.forced-yield 2000000000
    tune.lua.session-timeout 20s
    lua-load {folder}/busy.lua
defaults
    log global
    mode http
    option httplog
    option dontlognull
    timeout connect 5000
    timeout client 50000
    timeout server 50000
frontend main
    bind 127.0.0.1:{port}
    http-request use-service lua.busy if {{ path /busy }}
    http-request lua.action if {{ path /action }}
    http-request return status 200 content-type text/plain string "hello"
"""

# os.clock() is the CPU time of the process: while the thread has a CPU, nearly what the client measures.
HAPROXY_LUA = """
local function busy(seconds)
    local begin, x = os.clock(), 0
    while os.clock() - begin < seconds do
        for i = 1, 1000 do x = x + i % 7 end
    end
end
core.register_service("busy", "http", function(applet)
    busy(0.4)
    applet:set_status(200)
    applet:add_header("content-length", "4")
    applet:start_response()
    applet:send("done")
end)
core.register_action("action", { "http-req" }, function(txn) busy(0.4) end)
"""


def haproxy_arguments(place, *options, more=""):
    """The command to start haproxy by, and its port: it has several ways to run. more: lines for its global section."""
    harness.need_root()
    program = harness.need("haproxy")
    if not pathlib.Path("/var/lib/haproxy").is_dir():
        raise harness.Skip("no /var/lib/haproxy: not Debian's haproxy")
    port = harness.free_port()
    place.write("busy.lua", HAPROXY_LUA)
    config = place.write("haproxy.cfg", HAPROXY.format(folder=place.folder, port=port, more=more))
    return [program, "-f", config, "-p", place.folder / "pid", *options], port


NODE = """
const http = require('http');
const { execSync } = require('child_process');
function busy(ms) { const end = Date.now() + ms; let x = 0; while (Date.now() < end) x += Math.sqrt(x + 1); return x; }
const routes = {
    '/busy': () => busy(500),
    '/exec': () => execSync('sleep 0.5'),
    '/await': () => new Promise(done => setTimeout(done, 500)),
    '/': () => 0,
};
http.createServer(async (request, response) => {
    await routes[request.url]();
    response.end('done');
}).listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
"""


def node(place, **how):
    port = harness.free_port()
    argv = [harness.need("node"), place.write("server.js", NODE), port]
    return place.start("node", argv, port=port, **how), port


APPLICATION = """
import asyncio
import time
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def hello():
    return {"hello": "world"}


@app.get("/sleep")
async def blocks():
    time.sleep(0.5)
    return {"slept": 0.5}


@app.get("/busy")
async def computes():
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        sum(range(1000))
    return {"computed": 0.4}


@app.get("/await")
async def awaits():
    await asyncio.sleep(0.5)
    return {"awaited": 0.5}


@app.get("/thread")
def in_a_thread():
    time.sleep(0.5)
    return {"slept in a thread": 0.5}
"""


def need_modules(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise harness.Skip(f"python3-{module} is not installed")


def uvicorn(place, loop, *options, application=APPLICATION, **how):
    need_modules("uvicorn", "fastapi", *(["uvloop"] if loop == "uvloop" else []))
    port = harness.free_port()
    place.write("application.py", application)
    argv = [PYTHON, "-m", "uvicorn", "application:app", "--loop", loop, "--port", port, "--no-access-log", *options]
    return place.start("uvicorn", argv, port=port, seconds=30, **how), port

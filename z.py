import http.server,sys,json
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(s):
        b=s.rfile.read(int(s.headers['content-length'])); print(s.path,dict(s.headers)); print(json.dumps(json.loads(b),indent=0).replace('\n',' '),flush=True)
        s.send_response(202); s.end_headers()
    def log_message(s,*a): pass
http.server.HTTPServer(('127.0.0.1',19411),H).serve_forever()

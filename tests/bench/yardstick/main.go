// The yardstick: Go's net/http doing what a router does for one link, and nothing else. It splits the path, checks the
// HMAC over the raw bytes, decodes the target and answers 302 with the same headers; it keeps no click.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

var key []byte // the tenant key, derived already

func destination(path string) (string, bool) {
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 {
		return "", false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(path[:cut]))
	tag := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:11])
	if subtle.ConstantTimeCompare([]byte(tag), []byte(path[cut+1:])) != 1 {
		return "", false
	}
	head := path[:strings.LastIndexByte(path[:cut], '/')]
	head = head[:strings.LastIndexByte(head, '/')]
	scheme, target := "https://", strings.TrimPrefix(head, "/2s/")
	if target == head {
		scheme, target = "http://", strings.TrimPrefix(head, "/2/")
	}
	rest, err := url.PathUnescape(target)
	return scheme + rest, err == nil
}

func redirect(w http.ResponseWriter, r *http.Request) {
	path := r.RequestURI
	if query := strings.IndexByte(path, '?'); query >= 0 {
		path = path[:query]
	}
	to, ok := destination(path)
	if !ok {
		w.WriteHeader(404)
		return
	}
	header := w.Header()
	header["Location"] = []string{to}
	header["Cache-Control"] = []string{"private, no-store"}
	header["Referrer-Policy"] = []string{"no-referrer"}
	header["X-Robots-Tag"] = []string{"noindex, nofollow"}
	w.WriteHeader(302)
}

func main() {
	key, _ = hex.DecodeString(os.Args[2])
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, http.HandlerFunc(redirect)))
}

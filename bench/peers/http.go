// docs/examples/http.c in Go, with its standard library: the same answers, limits and end.
//
//	go build -o http http.go && ./http 8080
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const limit = 10 * time.Second

func get(answer func(http.ResponseWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" && r.Method != "HEAD" {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405 Method Not Allowed", 405)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		answer(w)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "413 Content Too Large", 413)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(body)
}

func main() {
	port := "0"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/slow", get(func(w http.ResponseWriter) {
		time.Sleep(time.Second)
		io.WriteString(w, "at last\n")
	}))
	hello := get(func(w http.ResponseWriter) { io.WriteString(w, "hello, world\n") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		hello(w, r)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: limit, WriteTimeout: limit, IdleTimeout: 6 * limit, MaxHeaderBytes: 8192}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	ended := make(chan struct{})
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
		<-stop
		late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(late)
		close(ended)
	}()
	server.Serve(listener)
	<-ended
	fmt.Println("ended")
}

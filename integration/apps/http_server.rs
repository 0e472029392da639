// A thread-per-connection HTTP server on Rust's standard library alone: Mutex, Condvar and park.
//
// Each connection's thread hands its request to a pool of four workers through a queue (Mutex and Condvar, which are futex
// system calls here, not pthread functions) and parks; the worker puts the answer into the request's slot and unparks it.
// park() may return for no reason, so the slot tells. "GET /stop" ends the server: no signal handler in std.
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, Thread};

struct Job {
    path: String,
    answer: Mutex<Option<String>>,
    done: AtomicBool,
    asker: Thread,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<(VecDeque<Arc<Job>>, bool)>,
    filled: Condvar,
    served: AtomicU64,
}

fn work(queue: &Queue) {
    loop {
        let mut jobs = queue.filled.wait_while(queue.jobs.lock().unwrap(), |(jobs, over)| jobs.is_empty() && !*over).unwrap();
        let job = match jobs.0.pop_front() {
            Some(job) => job,
            None => return,
        };
        drop(jobs);
        *job.answer.lock().unwrap() = Some(format!("you asked for {}\n", job.path));
        queue.served.fetch_add(1, Ordering::Relaxed);
        job.done.store(true, Ordering::Release);
        job.asker.unpark();
    }
}

fn serve(stream: TcpStream, queue: &Queue) -> std::io::Result<bool> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(first) = lines.next() {
        let path = first?.split(' ').nth(1).unwrap_or("").to_string();
        while !lines.next().unwrap_or(Ok(String::new()))?.is_empty() {}
        if path == "/stop" {
            return Ok(true);
        }
        let job = Arc::new(Job { path, answer: Mutex::new(None), done: AtomicBool::new(false), asker: thread::current() });
        queue.jobs.lock().unwrap().0.push_back(Arc::clone(&job));
        queue.filled.notify_one();
        while !job.done.load(Ordering::Acquire) {
            thread::park();
        }
        let body = job.answer.lock().unwrap().take().unwrap();
        out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    }
    Ok(false)
}

fn main() -> std::io::Result<()> {
    let queue = Arc::new(Queue::default());
    let pool = [(); 4].map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || work(&queue))
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    println!("listening on {}", address.port());
    let stopping = Arc::new(AtomicBool::new(false));
    let mut connections = Vec::new();
    for stream in listener.incoming() {
        let (stream, queue, stopped) = (stream?, Arc::clone(&queue), Arc::clone(&stopping));
        if stopping.load(Ordering::SeqCst) {
            break;
        }
        connections.push(thread::spawn(move || match serve(stream, &queue) {
            Ok(false) => {}
            Ok(true) => {
                stopped.store(true, Ordering::SeqCst);
                let _ = TcpStream::connect(address); // accept must return to see it
            }
            Err(error) => eprintln!("connection: {error}"),
        }));
    }
    for connection in connections {
        connection.join().unwrap();
    }
    queue.jobs.lock().unwrap().1 = true;
    queue.filled.notify_all();
    for worker in pool {
        worker.join().unwrap();
    }
    println!("served {}", queue.served.load(Ordering::Relaxed));
    Ok(())
}

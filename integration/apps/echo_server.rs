// A thread-per-connection line echo server on Rust's standard library alone.
//
// Each connection's thread hands every line to a pool of four workers through a queue (Mutex and Condvar, which are
// futex system calls here, not pthread functions) and waits for its answer on a channel. SIGTERM ends it by default.
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

struct Job {
    line: Vec<u8>,
    answer: SyncSender<Vec<u8>>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    filled: Condvar,
}

fn work(queue: &Queue) {
    loop {
        let mut jobs = queue.jobs.lock().unwrap();
        while jobs.is_empty() {
            jobs = queue.filled.wait(jobs).unwrap();
        }
        let job = jobs.pop_front().unwrap();
        drop(jobs);
        // The connection may have gone: then nobody wants the answer.
        let _ = job.answer.send(job.line);
    }
}

fn serve(stream: TcpStream, queue: &Queue) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    let (answer, answers) = sync_channel(1);
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        queue.jobs.lock().unwrap().push_back(Job { line, answer: answer.clone() });
        queue.filled.notify_one();
        out.write_all(&answers.recv().unwrap())?;
    }
}

fn main() -> std::io::Result<()> {
    let queue = Arc::new(Queue::default());
    for _ in 0..4 {
        let queue = Arc::clone(&queue);
        thread::spawn(move || work(&queue));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let (stream, queue) = (stream?, Arc::clone(&queue));
        thread::spawn(move || {
            if let Err(error) = serve(stream, &queue) {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}

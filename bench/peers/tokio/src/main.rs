//! The questions of bench/tasks, in Tokio's own words: tasks without stacks, its channels and locks.
//!
//!     tasks QUESTION [WORKERS [N]]
//!
//! Prints one JSON object, {"figure": ns per operation, ...}, as those programs do. Tokio has no
//! condition variable: ping-pong is left to channels.
use std::{env, fs, future::Future, sync::Arc, time::Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, Mutex, Notify, Semaphore};
use tokio::task::{spawn, yield_now};

type Figures = Vec<String>;

fn figure(all: &mut Figures, name: &str, value: f64) {
    all.push(format!("\"{name}\": {value:.2}"));
}

/// As ask() of tasks.h.
async fn ask<F: Future<Output = ()>>(all: &mut Figures, name: &str, op: impl Fn(u64) -> F, mut n: u64) {
    loop {
        let start = Instant::now();
        op(n).await;
        let took = start.elapsed().as_nanos() as u64;
        if took >= 60_000_000 {
            return figure(all, name, took as f64 / n as f64);
        }
        n *= (90_000_000 / (took + 1)).clamp(2, 10);
    }
}

async fn yields(tasks: u64, n: u64) {
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            spawn(async move {
                for _ in 0..n / tasks {
                    yield_now().await
                }
            })
        })
        .collect();
    for task in all {
        task.await.unwrap()
    }
}

async fn one(n: u64) {
    for _ in 0..n {
        spawn(async {}).await.unwrap()
    }
}

async fn batches(batch: u64, n: u64) {
    for _ in 0..(n + batch - 1) / batch {
        let all: Vec<_> = (0..batch).map(|_| spawn(async {})).collect();
        for task in all {
            task.await.unwrap()
        }
    }
}

async fn locks(lock: Arc<Mutex<u64>>, n: u64) {
    for _ in 0..n {
        *lock.lock().await += 1
    }
}

async fn locks_64(lock: Arc<Mutex<u64>>, n: u64) {
    let all: Vec<_> = (0..64).map(|_| spawn(locks(lock.clone(), n / 64))).collect();
    for task in all {
        task.await.unwrap()
    }
}

async fn one_way(capacity: usize, n: u64) {
    let (tx, mut rx) = mpsc::channel(capacity);
    let task = spawn(async move {
        for i in 0..n {
            tx.send(i).await.unwrap()
        }
    });
    for i in 0..n {
        assert_eq!(rx.recv().await, Some(i))
    }
    task.await.unwrap()
}

async fn both_ways(n: u64) {
    let (go, mut there) = mpsc::channel(1);
    let (answer, mut back) = mpsc::channel(1);
    let task = spawn(async move {
        for _ in 0..n {
            answer.send(there.recv().await.unwrap()).await.unwrap()
        }
    });
    for i in 0..n {
        go.send(i).await.unwrap();
        assert_eq!(back.recv().await, Some(i))
    }
    task.await.unwrap()
}

async fn socketpair(n: u64) {
    let (mut a, mut b) = tokio::net::UnixStream::pair().unwrap();
    let task = spawn(async move {
        let mut buf = [0u8];
        for _ in 0..n {
            b.read_exact(&mut buf).await.unwrap();
            b.write_all(&buf).await.unwrap()
        }
    });
    let mut buf = [0u8];
    for _ in 0..n {
        a.write_all(&buf).await.unwrap();
        a.read_exact(&mut buf).await.unwrap();
    }
    task.await.unwrap()
}

fn rss() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    4096.0 * text.split(' ').nth(1).unwrap().parse::<f64>().unwrap()
}

async fn parked(all: &mut Figures, tasks: u32) {
    let (go, here) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (before, start) = (rss(), Instant::now());
    let waiting: Vec<_> = (0..tasks)
        .map(|_| {
            let (go, here) = (go.clone(), here.clone());
            spawn(async move {
                let notified = go.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                here.add_permits(1);
                notified.await
            })
        })
        .collect();
    here.acquire_many(tasks).await.unwrap().forget();
    let (made, bytes) = (start.elapsed(), rss() - before);
    let start = Instant::now();
    go.notify_waiters();
    for task in waiting {
        task.await.unwrap()
    }
    let each = |x: f64| x / tasks as f64;
    figure(all, "parked, bytes each", each(bytes));
    figure(all, "parked, ns to make each", each(made.as_nanos() as f64));
    figure(all, "parked, ns to wake each", each(start.elapsed().as_nanos() as f64));
}

fn grow(number: u64, size: u64) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if size == 1 {
            return number;
        }
        let all: Vec<_> = (0..10).map(|i| spawn(grow(number + i * size / 10, size / 10))).collect();
        let mut sum = 0;
        for task in all {
            sum += task.await.unwrap()
        }
        sum
    })
}

async fn skynet(all: &mut Figures, leaves: u64) {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(grow(0, leaves).await, leaves * (leaves - 1) / 2);
        best = best.min(start.elapsed().as_nanos() as f64 / 1e6)
    }
    figure(all, "skynet, ms", best)
}

async fn question(name: String, n: u64) {
    let mut all = Figures::new();
    let lock = Arc::new(Mutex::new(0));
    match name.as_str() {
        "yield" => {
            ask(&mut all, "yield, 2 tasks", |n| yields(2, n), 20_000).await;
            ask(&mut all, "yield, 1000 tasks", |n| yields(1000, n), 300_000).await
        }
        "spawn" => {
            ask(&mut all, "spawn+join, one", one, 1000).await;
            ask(&mut all, "spawn+join, batch", |k| batches(n, k), n).await
        }
        "mutex" => {
            ask(&mut all, "mutex, uncontended", |n| locks(lock.clone(), n), 100_000).await;
            ask(&mut all, "mutex, 64 tasks", |n| locks_64(lock.clone(), n), 64_000).await
        }
        "channel" => {
            ask(&mut all, "channel, there and back", both_ways, 2000).await;
            ask(&mut all, "channel, 64 places", |n| one_way(64, n), 5000).await
        }
        "socketpair" => ask(&mut all, "socketpair, there and back", socketpair, 500).await,
        "skynet" => skynet(&mut all, n).await,
        "parked" => parked(&mut all, n as u32).await,
        _ => {}
    }
    println!("{{{}}}", all.join(", "));
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let number = |i: usize, otherwise| args.get(i).map_or(otherwise, |s| s.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(number(2, 1) as usize)
        .enable_io()
        .build()
        .unwrap();
    let task = runtime.spawn(question(args[1].clone(), number(3, if args[1] == "skynet" { 100_000 } else { 10_000 })));
    runtime.block_on(task).unwrap();
}

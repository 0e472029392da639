// A thread-per-connection line echo server, the way Java was written before virtual threads.
//
// Each connection's thread hands every line to a pool of four workers through a queue guarded by a lock and a
// condition, then waits on the answer's monitor. SIGTERM runs the shutdown hook, which prints how many lines were served.
import java.io.*;
import java.net.*;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.*;

public class EchoServer {
	static final class Job {
		final byte[] line;
		boolean done; // under this object's monitor
		Job(byte[] line) { this.line = line; }
	}

	static final Lock lock = new ReentrantLock();
	static final Condition filled = lock.newCondition();
	static final ArrayDeque<Job> queue = new ArrayDeque<>(); // under lock
	static final AtomicLong served = new AtomicLong();

	static void work() {
		try {
			for (;;) {
				Job job;
				lock.lock();
				try {
					while (queue.isEmpty())
						filled.await();
					job = queue.remove();
				} finally {
					lock.unlock();
				}
				served.incrementAndGet();
				synchronized (job) {
					job.done = true;
					job.notify();
				}
			}
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
		}
	}

	static byte[] readLine(InputStream in) throws IOException {
		ByteArrayOutputStream line = new ByteArrayOutputStream();
		for (int c; (c = in.read()) >= 0;) {
			line.write(c);
			if (c == '\n')
				return line.toByteArray();
		}
		return null;
	}

	static void serve(Socket socket) {
		try (socket) {
			InputStream in = new BufferedInputStream(socket.getInputStream());
			OutputStream out = socket.getOutputStream();
			for (byte[] line; (line = readLine(in)) != null;) {
				Job job = new Job(line);
				lock.lock();
				try {
					queue.add(job);
					filled.signal();
				} finally {
					lock.unlock();
				}
				synchronized (job) {
					while (!job.done)
						job.wait();
				}
				out.write(job.line);
			}
		} catch (IOException | InterruptedException e) {
			System.err.println("connection: " + e);
		}
	}

	public static void main(String[] args) throws IOException {
		Runtime.getRuntime().addShutdownHook(new Thread(() -> {
			System.out.println("served " + served.get());
			System.out.flush();
		}));
		for (int i = 0; i < 4; i++) {
			Thread worker = new Thread(EchoServer::work);
			worker.setDaemon(true);
			worker.start();
		}
		try (ServerSocket listener = new ServerSocket(0, 128, InetAddress.getByName("127.0.0.1"))) {
			System.out.println("listening on " + listener.getLocalPort());
			for (;;) {
				Socket socket = listener.accept();
				new Thread(() -> serve(socket)).start();
			}
		}
	}
}

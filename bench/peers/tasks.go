// The questions of bench/tasks, in Go's own words: goroutines, sync, channels.
//
//	tasks QUESTION [WORKERS [N]]
//
// Prints one JSON object, {"figure": ns per operation, ...}, as those programs do.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var figures []string

func figure(name string, value float64) {
	figures = append(figures, fmt.Sprintf("%q: %.2f", name, value))
}

// As ask() of tasks.h.
func ask(name string, op func(n int), n int) {
	for {
		start := time.Now()
		op(n)
		took := time.Since(start).Nanoseconds()
		if took >= 60000000 {
			figure(name, float64(took)/float64(n))
			return
		}
		more := 90000000 / (took + 1)
		n *= int(max(2, min(10, more)))
	}
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func max(a, b int64) int64 {
	return -min(-a, -b)
}

// Runs fn in n goroutines, n at once, and waits for all.
func all(n int, fn func()) {
	var group sync.WaitGroup
	group.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			fn()
			group.Done()
		}()
	}
	group.Wait()
}

func yield(tasks int) func(n int) {
	return func(n int) {
		all(tasks, func() {
			for i := 0; i < n/tasks; i++ {
				runtime.Gosched()
			}
		})
	}
}

func spawn(batch int) {
	ask("spawn+join, one", func(n int) {
		for i := 0; i < n; i++ {
			all(1, func() {})
		}
	}, 1000)
	ask("spawn+join, batch", func(n int) {
		for done := 0; done < n; done += batch {
			all(batch, func() {})
		}
	}, batch)
}

func mutex() {
	var lock sync.Mutex
	counter := 0
	locks := func(n int) {
		for i := 0; i < n; i++ {
			lock.Lock()
			counter++
			lock.Unlock()
		}
	}
	ask("mutex, uncontended", locks, 100000)
	ask("mutex, 64 tasks", func(n int) { all(64, func() { locks(n / 64) }) }, 64000)
}

func channel() {
	oneWay := func(c chan int) func(n int) {
		return func(n int) {
			go func() {
				for i := 0; i < n; i++ {
					c <- i
				}
			}()
			for i := 0; i < n; i++ {
				if <-c != i {
					panic("a value is wrong")
				}
			}
		}
	}
	there, back := make(chan int), make(chan int)
	ask("channel, unbuffered", oneWay(make(chan int)), 2000)
	ask("channel, there and back", func(n int) {
		go func() {
			for i := 0; i < n; i++ {
				back <- <-there
			}
		}()
		for i := 0; i < n; i++ {
			there <- i
			<-back
		}
	}, 2000)
	ask("channel, 64 places", oneWay(make(chan int, 64)), 5000)
}

func pingpong() {
	var lock sync.Mutex
	ping, pong := sync.NewCond(&lock), sync.NewCond(&lock)
	turn := 0
	plays := func(me, n int, mine, other *sync.Cond) {
		lock.Lock()
		for i := 0; i < n; i++ {
			for turn != me {
				mine.Wait()
			}
			turn = 1 - me
			other.Signal()
		}
		lock.Unlock()
	}
	ask("ping-pong, mutex + 2 conds", func(n int) {
		done := make(chan bool)
		go func() { plays(1, n, ping, pong); done <- true }()
		plays(0, n, pong, ping)
		<-done
	}, 2000)
}

func socketpair() {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		panic(err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	ask("socketpair, there and back", func(n int) {
		done := make(chan bool)
		go func() {
			buf := make([]byte, 1)
			for i := 0; i < n; i++ {
				b.Read(buf)
				b.Write(buf)
			}
			done <- true
		}()
		buf := make([]byte, 1)
		for i := 0; i < n; i++ {
			a.Write(buf)
			if got, err := a.Read(buf); got != 1 || err != nil {
				panic(err)
			}
		}
		<-done
	}, 500)
}

func rss() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return float64(pages * os.Getpagesize())
}

func parked(tasks int) {
	var here, gone sync.WaitGroup
	var lock sync.Mutex
	cond, open := sync.NewCond(&lock), false
	here.Add(tasks)
	gone.Add(tasks)
	before, start := rss(), time.Now()
	for i := 0; i < tasks; i++ {
		go func() {
			lock.Lock()
			here.Done()
			for !open {
				cond.Wait()
			}
			lock.Unlock()
			gone.Done()
		}()
	}
	here.Wait()
	made := time.Since(start)
	lock.Lock() // the last one waits now
	figure("parked, bytes each", (rss()-before)/float64(tasks))
	figure("parked, ns to make each", float64(made.Nanoseconds())/float64(tasks))
	start = time.Now()
	open = true
	cond.Broadcast()
	lock.Unlock()
	gone.Wait()
	figure("parked, ns to wake each", float64(time.Since(start).Nanoseconds())/float64(tasks))
}

func grow(number, size int) int {
	if size == 1 {
		return number
	}
	sums := make(chan int, 10)
	for i := 0; i < 10; i++ {
		first := number + i*size/10
		go func() { sums <- grow(first, size/10) }()
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-sums
	}
	return sum
}

func skynet(leaves int) {
	best := time.Hour
	for i := 0; i < 3; i++ {
		start := time.Now()
		if grow(0, leaves) != leaves*(leaves-1)/2 {
			panic("the sum is wrong")
		}
		if took := time.Since(start); took < best {
			best = took
		}
	}
	figure("skynet, ms", float64(best.Nanoseconds())/1e6)
}

func main() {
	arg := func(i, otherwise int) int {
		if len(os.Args) > i {
			otherwise, _ = strconv.Atoi(os.Args[i])
		}
		return otherwise
	}
	runtime.GOMAXPROCS(arg(2, 1))
	switch os.Args[1] {
	case "yield":
		ask("yield, 2 tasks", yield(2), 20000)
		ask("yield, 1000 tasks", yield(1000), 300000)
	case "spawn":
		spawn(arg(3, 10000))
	case "mutex":
		mutex()
	case "channel":
		channel()
	case "pingpong":
		pingpong()
	case "socketpair":
		socketpair()
	case "skynet":
		skynet(arg(3, 100000))
	case "parked":
		parked(arg(3, 10000))
	}
	fmt.Println("{" + strings.Join(figures, ", ") + "}")
}

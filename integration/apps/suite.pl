# What Perl programs do with threads, once each; prints facts that do not depend on the order.
use strict;
use warnings;
use threads;
use threads::shared;
use IO::Socket::INET;
use Thread::Queue;
use Time::HiRes qw(sleep time);

$| = 1;
my ($in, $out) = (Thread::Queue->new, Thread::Queue->new);
my @threads = map {
    threads->create(sub { while (defined(my $x = $in->dequeue)) { $out->enqueue($x * 2) } })
} 1 .. 10;
$in->enqueue($_) for 1 .. 500;
$in->end;
$_->join for @threads;
my $sum = 0;
while (defined(my $x = $out->dequeue_nb)) { $sum += $x }
print "queue $sum\n";

my $count : shared = 0;
$_->join for map { threads->create(sub { for (1 .. 200) { lock $count; $count++ } }) } 1 .. 20;
print "lock $count\n";

my $flag : shared = 0;
my $waiter = threads->create(sub { lock $flag; cond_wait($flag) until $flag; return 42 });
{ lock $flag; $flag = 1; cond_signal($flag) }
print "condition ", $waiter->join, "\n";
{ lock $flag; print "timed out ", (cond_timedwait($flag, time() + 0.05) ? 0 : 1), "\n" }

my $server = IO::Socket::INET->new(Listen => 10, LocalAddr => '127.0.0.1') or die;
my $port = $server->sockport;
my @clients = map {
    my $i = $_;
    threads->create(sub {
        my $s = IO::Socket::INET->new("127.0.0.1:$port") or return "none";
        print $s "x$i\n";
        my $answer = <$s>;
        chomp $answer;
        return $answer;
    })
} 1 .. 10;
for (1 .. 10) {
    my $s = $server->accept;
    my $line = <$s>;
    print $s "e$line";
    close $s;
}
print join(",", sort map { $_->join } @clients), "\n";

my $killed = threads->create(sub { local $SIG{KILL} = sub { threads->exit() }; sleep 0.02 while 1 });
sleep 0.05;
$killed->kill('KILL')->join;
print "killed\n";
print "system ", system("exit 3") >> 8, " ", threads->create(sub { `echo inside` })->join;
$SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; sleep 10 };
print $@;
my $pid = fork;
if (!$pid) { threads->create(sub { 1 })->join; exit 7 }
waitpid $pid, 0;
print "child ", $? >> 8, "\n";

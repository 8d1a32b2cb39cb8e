//! Fault rows A01, A02, A03, A15, A16, A17: which descriptors a child gets, and which it never sees.

mod common;

use common::child;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procs::{Command, OutputLimit, Sink, Stage, Stdio};
use procs_tests::{Isolation, Random, Test, count, host, isolated, isolated_in};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn a01_no_pipe_leaks_into_another_child() {
    isolated_in("a01_no_pipe_leaks_into_another_child", &Isolation::new().watchdog(120), |_| {
        let rounds = count(500);
        let sleeping = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let sleepers = scope.spawn(|| {
                while sleeping.load(Ordering::Relaxed) {
                    let mut some: Vec<_> = (0..20).map(|_| child(&["sleep", "30"]).stdin(Stdio::null()).spawn().expect("a sleeper")).collect();
                    some.iter_mut().for_each(|child| {
                        child.kill().expect("a signal");
                        child.wait().expect("an end");
                    });
                }
            });
            let readers: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..rounds).for_each(|_| cat_to_its_end()))).collect();
            readers.into_iter().for_each(|reader| reader.join().expect("every stream ended in time"));
            sleeping.store(false, Ordering::Relaxed);
            sleepers.join().expect("the sleepers ended");
        });
    });
}

/// A leaked end would keep the stream open for the 30 s that the sleepers live, or until they are killed.
fn cat_to_its_end() {
    let mut command = child(&["cat"]);
    let mut cat = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a start");
    let (mut stdout, mut stderr) = (cat.stdout.take().expect("a pipe"), cat.stderr.take().expect("a pipe"));
    let start = Instant::now();
    drop(cat.stdin.take());
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("its end");
    stderr.read_to_end(&mut rest).expect("its end");
    assert!(rest.is_empty());
    assert!(start.elapsed() < Duration::from_secs(15), "end of file came after {:?}", start.elapsed());
    assert!(cat.wait().expect("an end").success());
}

/// Numbers of the descriptors that a child with captured streams finds open.
fn seen_by_child(command: &mut Command) -> Vec<i32> {
    let output = command.output().expect("a run");
    let text = String::from_utf8(output.stdout.into_vec()).expect("text");
    text.lines().map(|line| line.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")).collect()
}

/// Opens descriptors as a careless host does: inheritable, one of them far up.
fn careless_host() -> Vec<OwnedFd> {
    let old = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, old.0.max(4100), old.1.max(4100)).expect("a higher limit");
    let null = File::open("/dev/null").expect("the null device");
    let mut open: Vec<OwnedFd> = (0..199).map(|_| host::own(host::copy_above(null.as_raw_fd(), 3))).collect();
    open.push(host::own(host::copy_above(null.as_raw_fd(), 4000)));
    open
}

fn nothing_foreign(spawns: usize) {
    let open = careless_host();
    let extra = open[50].as_raw_fd();
    for _ in 0..spawns {
        assert_eq!(seen_by_child(&mut child(&["fds"])), [0, 1, 2]);
        assert_eq!(seen_by_child(child(&["fds"]).fd(7, Stdio::piped()).fd(4000, Stdio::borrowed(extra))), [0, 1, 2, 7, 4000]);
        // Changing the user takes another way to the child.
        assert_eq!(seen_by_child(child(&["fds"]).groups(&[])), [0, 1, 2]);
    }
}

#[test]
fn a02_the_child_sees_only_what_was_given() {
    isolated("a02_the_child_sees_only_what_was_given", |_| nothing_foreign(count(50)));
}

#[test]
fn a02_also_without_close_range() {
    let how = Isolation::new().inject("close_range:error=ENOSYS");
    isolated_in("a02_also_without_close_range", &how, |_| {
        assert!(!procs::engine_info().close_range);
        nothing_foreign(count(50));
    });
}

#[test]
fn a02_also_while_the_host_opens_more() {
    isolated("a02_also_while_the_host_opens_more", |_| {
        let running = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                while running.load(Ordering::Relaxed) {
                    let copies: Vec<OwnedFd> = (0..50).map(|_| host::own(host::copy_above(0, 3))).collect();
                    drop(copies);
                }
            });
            for _ in 0..count(300) {
                assert_eq!(seen_by_child(&mut child(&["fds"])), [0, 1, 2]);
            }
            running.store(false, Ordering::Relaxed);
            opener.join().expect("the opening thread");
        });
    });
}

/// A host without descriptors of its own: the child's pidfd is number 3, and stays in the child until exec closes it.
#[test]
fn a02_not_even_its_own_pidfd() {
    isolated("a02_not_even_its_own_pidfd", |t| {
        assert!(fs::read_link("/proc/self/fd/3").is_err(), "the test needs number 3 free");
        let list = t.dir().join("fds");
        let file = list.to_str().expect("text");
        for wait in [true, false] {
            for _ in 0..count(50) {
                let mut started = child(&["fds", file]).wait_for_exec(wait).spawn().expect("a start");
                assert_eq!(started.as_fd().as_raw_fd(), 3);
                assert!(started.wait().expect("an end").success());
                let seen = fs::read_to_string(&list).expect("the list");
                let numbers: Vec<_> = seen.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
                assert_eq!(numbers, ["0", "1", "2"], "{seen}");
            }
        }
        // A failed start leaves the number free again.
        Command::new("/nonexistent").spawn().expect_err("no such program");
        assert!(fs::read_link("/proc/self/fd/3").is_err());
    });
}

#[test]
fn a03_no_way_out_through_a_leaked_directory() {
    isolated("a03_no_way_out_through_a_leaked_directory", |_| {
        let root = File::open("/").expect("the root folder");
        let open: Vec<OwnedFd> = (0..15).map(|_| host::own(host::copy_above(root.as_raw_fd(), 3))).collect();
        for number in 3..=20 {
            for by in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")] {
                for identity in [false, true] {
                    let mut command = child(&["cwd"]);
                    command.current_dir(&by).stdin(Stdio::piped());
                    if identity {
                        command.groups(&[]);
                    }
                    let error = command.output().expect_err("no such descriptor in the child");
                    assert_eq!((error.stage(), error.os_error()), (Some(Stage::Directory), Some(libc::ENOENT)), "{by}: {error:?}");
                }
            }
        }
        drop(open);
    });
}

/// Files that show which descriptors of a child led to them.
struct Targets {
    files: Vec<(std::path::PathBuf, OwnedFd)>,
}

impl Targets {
    /// One file per number of the host; the numbers are free.
    fn at(t: &Test, numbers: &[RawFd]) -> Targets {
        let open = |number: &RawFd| {
            let path = t.dir().join(format!("file-{number}"));
            let file = OpenOptions::new().append(true).create(true).open(&path).expect("a file");
            host::copy_to(file.as_raw_fd(), *number);
            (path, host::own(*number))
        };
        Targets { files: numbers.iter().map(open).collect() }
    }

    /// Starts a child with this map (its number → which file) and compares what it wrote.
    fn check(&self, map: &BTreeMap<RawFd, usize>) {
        let numbers: Vec<String> = map.keys().map(RawFd::to_string).collect();
        let mut command = child(&["writes"]);
        command.args(&numbers);
        for (target, index) in map {
            command.fd(*target, Stdio::borrowed(self.files[*index].1.as_raw_fd()));
        }
        let status = command.spawn().expect("a start").wait().expect("an end");
        assert!(status.success(), "{map:?}: {status}");
        for (index, (path, _)) in self.files.iter().enumerate() {
            let expected: String = map.iter().filter(|(_, file)| **file == index).map(|(target, _)| format!("{target}\n")).collect();
            assert_eq!(fs::read_to_string(path).expect("a file"), expected, "{map:?}: {}", path.display());
            File::create(path).expect("an empty file");
        }
    }
}

#[test]
fn a15_any_map_of_descriptors_works() {
    isolated_in("a15_any_map_of_descriptors_works", &Isolation::new().watchdog(60), |t| {
        let old = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, old.0.max(1100), old.1.max(1100)).expect("a higher limit");
        // Sources and targets share numbers: swaps, cycles and overlaps come up.
        let sources = [60, 61, 62, 63, 64, 65];
        let targets = Targets::at(t, &sources);
        for code in 0..27 {
            let map = BTreeMap::from([(0, code % 3), (1, code / 3 % 3), (2, code / 9)]);
            targets.check(&map);
        }
        targets.check(&BTreeMap::from([(60, 1), (61, 0)]));
        targets.check(&BTreeMap::from([(60, 1), (61, 2), (62, 0)]));
        targets.check(&BTreeMap::from([(60, 0), (61, 1)]));
        targets.check(&BTreeMap::from([(3, 0), (9, 1), (255, 2), (1023, 0)]));
        let mut random = Random::from_env("descriptor maps");
        let pool = [0, 1, 2, 3, 4, 5, 9, 60, 61, 62, 63, 64, 65, 66, 255, 1023];
        for _ in 0..count(500) {
            let size = 1 + random.below(pool.len() as u64) as usize;
            let pick = |random: &mut Random| (pool[random.below(pool.len() as u64) as usize], random.below(6) as usize);
            let map: BTreeMap<RawFd, usize> = (0..size).map(|_| pick(&mut random)).collect();
            targets.check(&map);
        }
    });
}

#[test]
fn a15_standard_streams_of_the_host_can_be_swapped() {
    isolated("a15_standard_streams_of_the_host_can_be_swapped", |t| {
        let (kept1, kept2) = (host::own(host::copy_above(1, 3)), host::own(host::copy_above(2, 3)));
        let (first, second) = (t.dir().join("first"), t.dir().join("second"));
        let open = |path| File::create(path).expect("a file");
        host::copy_to(open(&first).as_raw_fd(), 1);
        host::copy_to(open(&second).as_raw_fd(), 2);
        let spawned = child(&["writes", "1", "2"]).stdout(Stdio::borrowed(2)).stderr(Stdio::borrowed(1)).spawn();
        host::copy_to(kept1.as_raw_fd(), 1);
        host::copy_to(kept2.as_raw_fd(), 2);
        assert!(spawned.expect("a start").wait().expect("an end").success());
        assert_eq!(fs::read(first).expect("a file"), b"2\n");
        assert_eq!(fs::read(second).expect("a file"), b"1\n");
    });
}

#[test]
fn a16_a_host_without_standard_streams() {
    isolated("a16_a_host_without_standard_streams", |t| {
        let kept: Vec<OwnedFd> = (0..3).map(|number| host::own(host::copy_above(number, 10))).collect();
        kept.iter().for_each(|copy| host::set_close_on_exec(copy.as_raw_fd()));
        let mut wrong = Vec::new();
        for subset in 0..8 {
            let closed: Vec<i32> = (0..3).filter(|number| subset & (1 << number) != 0).collect();
            closed.iter().for_each(|number| host::close(*number));
            let found: Vec<_> = (0..8).map(|piped| (piped, streams_of_child(t, piped))).collect();
            let of_host = numbers_of_host();
            let ran = child(&["echo", "hello"]).output().map(|output| output.stdout.into_vec());
            let (of_run, spill) = numbers_of_run(t, &closed);
            // Messages of failures need the streams back.
            kept.iter().zip(0..).for_each(|(copy, number)| host::copy_to(copy.as_raw_fd(), number));
            let plain = streams_of_child(t, 0);
            for (piped, streams) in found {
                let is_right = |number: &i32| match streams.get(number) {
                    Some(target) if piped & (1 << number) != 0 => target.starts_with("pipe:"),
                    Some(target) if closed.contains(number) => target == "/dev/null",
                    target => target == plain.get(number),
                };
                if streams.len() != 3 || !(0..3).all(|number| is_right(&number)) {
                    wrong.push(format!("closed {closed:?}, piped {piped:03b}: {streams:?}, with all open {plain:?}"));
                }
            }
            if !of_run.is_empty() || spill.is_none_or(|number| number < 3) {
                wrong.push(format!("closed {closed:?}: open during a run are {of_run:?}, the spilled output is {spill:?}"));
            }
            if of_host.iter().any(|number| *number < 3) {
                wrong.push(format!("closed {closed:?}: the library's own descriptors are {of_host:?}"));
            }
            if ran.as_deref().ok() != Some(b"hello\n") {
                wrong.push(format!("closed {closed:?}: {ran:?}"));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    });
}

#[test]
fn a16_what_others_open_meanwhile_is_no_stream() {
    isolated_in("a16_what_others_open_meanwhile_is_no_stream", &Isolation::new().watchdog(120), |t| {
        let kept: Vec<OwnedFd> = (0..3).map(|number| host::own(host::copy_above(number, 10))).collect();
        kept.iter().for_each(|copy| host::set_close_on_exec(copy.as_raw_fd()));
        (0..3).for_each(host::close);
        let pipe = std::io::pipe().map(|ends| (ends.0.as_raw_fd(), ends.1.as_raw_fd(), ends));
        let beside_a_pipe = streams_of_child(t, 0);
        let taken = pipe.map(|(read, write, _)| (read, write));
        let opens = AtomicBool::new(true);
        let wrong: Vec<String> = std::thread::scope(|scope| {
            // Each start makes its descriptors on the closed numbers first.
            let others: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        while opens.load(Ordering::Relaxed) {
                            child(&["exit", "0"]).output()?;
                        }
                        Ok::<(), procs::Error>(())
                    })
                })
                .collect();
            let plain = || child(&["exit", "0"]).spawn().and_then(|mut child| child.wait());
            let mut wrong: Vec<_> = (0..count(2000)).filter_map(|_| plain().err()).collect();
            opens.store(false, Ordering::Relaxed);
            wrong.extend(others.into_iter().filter_map(|other| other.join().expect("a thread").err()));
            wrong.iter().map(ToString::to_string).collect()
        });
        kept.iter().zip(0..).for_each(|(copy, number)| host::copy_to(copy.as_raw_fd(), number));
        assert_eq!(taken.expect("a pipe"), (0, 1));
        assert!(beside_a_pipe.len() == 3 && beside_a_pipe.values().all(|target| target == "/dev/null"), "{beside_a_pipe:?}");
        assert_eq!(wrong, Vec::<String>::new());
    });
}

/// Numbers of the descriptors that the host holds of a child: what it prints must not end up there.
fn numbers_of_host() -> [RawFd; 4] {
    let mut command = child(&["cat"]);
    let mut cat = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a start");
    let streams =
        [cat.stdin.as_ref().map(AsRawFd::as_raw_fd), cat.stdout.as_ref().map(AsRawFd::as_raw_fd), cat.stderr.as_ref().map(AsRawFd::as_raw_fd)];
    let numbers = [cat.as_fd().as_raw_fd(), streams[0].unwrap_or(-1), streams[1].unwrap_or(-1), streams[2].unwrap_or(-1)];
    cat.wait().expect("an end");
    numbers
}

/// Which of the closed numbers a run with a file as sink and a file for what is too much has taken, and the number of the latter.
fn numbers_of_run(t: &Test, closed: &[RawFd]) -> (Vec<RawFd>, Option<RawFd>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (found, closed) = (Arc::clone(&taken), closed.to_vec());
    let look = move |_: &[u8]| {
        let is_open = |number: &&RawFd| Path::new(&format!("/proc/self/fd/{number}")).exists();
        found.lock().expect("a lock").extend(closed.iter().filter(is_open));
    };
    let sinks = Sink::Tee(vec![Sink::File(t.dir().join("sink")), Sink::Buffer, Sink::Callback(Box::new(look))]);
    let output = child(&["echo", "hello"]).stdout_sink(sinks).stdout_limit(OutputLimit::Spill(1)).output();
    let spill = output.ok().and_then(|output| output.stdout_report.spill.as_ref().map(AsRawFd::as_raw_fd));
    (taken.lock().expect("a lock").clone(), spill)
}

/// What a child finds behind its descriptors, with pipes for the numbers whose bit is set, and what the host has for the others.
fn streams_of_child(t: &Test, piped: i32) -> BTreeMap<i32, String> {
    let list = t.dir().join("fds");
    let mut command = child(&["fds"]);
    command.arg(&list);
    for number in (0..3).filter(|number| piped & (1 << number) != 0) {
        command.fd(number, Stdio::piped());
    }
    let ended = command.spawn().and_then(|mut child| child.wait());
    assert!(ended.is_ok_and(|status| status.success()));
    let text = fs::read_to_string(&list).expect("the list");
    text.lines().filter_map(|line| line.split_once(' ')).map(|(number, target)| (number.parse().expect("a number"), target.to_owned())).collect()
}

#[test]
fn a17_flags_of_inherited_streams_stay() {
    isolated("a17_flags_of_inherited_streams_stay", |_| {
        let flags = || [0, 1, 2].map(host::status_flags);
        let before = flags();
        for _ in 0..count(100) {
            assert!(child(&["exit", "0"]).spawn().expect("a start").wait().expect("an end").success());
            assert!(child(&["cat"]).input("x").output().expect("a run").success());
        }
        assert_eq!(flags(), before);
    });
}

#[test]
fn a17_a_child_may_fill_its_pipe() {
    isolated("a17_a_child_may_fill_its_pipe", |t| {
        let (read, write) = host::inheritable_pipe();
        let mut seq = Command::new("seq").arg("300000").stdout(Stdio::fd(write)).spawn().expect("a start");
        t.wait_until("the pipe is full", || host::unread(read.as_raw_fd()) >= 60_000);
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/1", seq.id())).expect("its descriptor");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).and_then(|text| i32::from_str_radix(text.trim(), 8).ok());
        assert_eq!(flags.map(|flags| flags & libc::O_NONBLOCK), Some(0), "{info}");
        assert_eq!(seq.wait_timeout(Duration::from_secs(2)).expect("a wait"), None, "it ended although nobody read");
        let mut all = Vec::new();
        File::from(read).read_to_end(&mut all).expect("its end");
        assert_eq!(all.len(), 1_988_895);
        assert!(seq.wait().expect("an end").success());
    });
}

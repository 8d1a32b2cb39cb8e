//! Subcommands that show what the kernel says about this process.

use crate::basic::put;
use crate::{Args, Outcome, Row};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fmt::Write;

pub(crate) const TABLE: &[Row] = &[
    ("fds", "[FILE]: open descriptors, `NUMBER TARGET` a line in order, to 1 or FILE", fds),
    ("ids", ": the Uid, Gid, Groups, Cap* and NoNewPrivs lines of /proc/self/status", ids),
    ("limits", "[NAMES..]: `NAME SOFT HARD` a line, `unlimited` for none", limits),
    ("umask", ": the mask as four octal digits", umask),
    ("nice", ": the nice value", nice),
    ("affinity", ": the allowed CPUs as a list", affinity),
    ("session", "[relations]: pid, ppid, pgid, sid, tty, tpgid a line; relations: only whether it leads group and session", session),
];

const LIMITS: &[(&str, Resource)] = &[
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

/// These lines of /proc/self/status, in the order asked for.
pub(crate) fn status_lines(names: &[&str]) -> Result<Vec<u8>, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let mut text = String::new();
    for name in names {
        let line = status.lines().find(|line| line.split(':').next() == Some(name)).ok_or(format!("no line {name}"))?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        text.push_str(&fields.join(" "));
        text.push('\n');
    }
    Ok(text.into_bytes())
}

fn fds(args: &Args) -> Outcome {
    let own = format!("/proc/{}/fd", std::process::id());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        // The listing's own descriptor.
        if target.as_os_str() == own.as_str() {
            continue;
        }
        let number: i32 = entry.file_name().to_string_lossy().parse().map_err(|_| "no number".to_owned())?;
        found.push((number, target.to_string_lossy().into_owned()));
    }
    found.sort();
    let mut text = String::new();
    for (number, target) in found {
        let _ = writeln!(text, "{number} {target}");
    }
    match args.optional(0) {
        Some(file) => std::fs::write(file, text).map_err(|e| e.to_string())?,
        None => put(1, text.as_bytes())?,
    }
    Ok(0)
}

fn ids(_: &Args) -> Outcome {
    put(1, &status_lines(&["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs"])?)?;
    Ok(0)
}

fn limits(args: &Args) -> Outcome {
    let names: Vec<&str> = match args.all().len() {
        0 => LIMITS.iter().map(|row| row.0).collect(),
        count => (0..count).map(|index| args.text(index)).collect::<Result<_, _>>()?,
    };
    let show = |value: u64| {
        if value == RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() }
    };
    for name in names {
        let (_, resource) = LIMITS.iter().find(|row| row.0 == name).ok_or(format!("no limit {name}"))?;
        let (soft, hard) = getrlimit(*resource).map_err(|e| e.to_string())?;
        put(1, format!("{name} {} {}\n", show(soft), show(hard)).as_bytes())?;
    }
    Ok(0)
}

fn umask(_: &Args) -> Outcome {
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    put(1, format!("{:04o}\n", mask.bits()).as_bytes())?;
    Ok(0)
}

/// A field of /proc/self/stat by its number in proc(5); the name in field 2 may hold spaces and is cut off first.
fn stat_field(number: usize) -> Result<i64, String> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|e| e.to_string())?;
    let rest = stat.rsplit_once(") ").ok_or("unreadable stat line")?.1;
    let field = rest.split(' ').nth(number - 3).ok_or(format!("no field {number}"))?;
    field.trim().parse().map_err(|_| format!("field {number} is not a number"))
}

fn nice(_: &Args) -> Outcome {
    put(1, format!("{}\n", stat_field(19)?).as_bytes())?;
    Ok(0)
}

fn affinity(_: &Args) -> Outcome {
    let line = status_lines(&["Cpus_allowed_list"])?;
    put(1, line.split(|byte| *byte == b' ').next_back().unwrap_or_default())?;
    Ok(0)
}

fn session(args: &Args) -> Outcome {
    let pid = i64::from(std::process::id());
    let (ppid, pgid, sid, tty, tpgid) = (stat_field(4)?, stat_field(5)?, stat_field(6)?, stat_field(7)?, stat_field(8)?);
    let text = match args.optional(0) {
        Some(_) => {
            let yes_no = |leads| if leads { "yes" } else { "no" };
            format!("group-leader {}\nsession-leader {}\n", yes_no(pid == pgid), yes_no(pid == sid))
        }
        None => format!("pid {pid}\nppid {ppid}\npgid {pgid}\nsid {sid}\ntty {tty}\ntpgid {tpgid}\n"),
    };
    put(1, text.as_bytes())?;
    Ok(0)
}

//! What the storage floor promises about signals and processes. Where a process has to die, the test runs
//! itself again as a child, with the part to play in a variable.

#![allow(clippy::unwrap_used)]
// The child is told its part by a variable and leaves by its exit code.
#![allow(clippy::disallowed_methods)]

use std::ffi::c_int;
use std::fs;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use ingot_engine::error::Error;
use ingot_engine::storage::memory::MemoryDisk;
use ingot_engine::storage::{DirectoryLock, Disk, File, Map, Storage};

const PAGE: u64 = 64 * 1024; // A multiple of every page size.
const PART: &str = "INGOT_TEST_PART";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ingot-processes-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// This program again, running only `test`, which finds `part` in [`PART`]. What it leaves behind when it
/// dies lies in `folder`.
fn child(test: &str, part: &str, folder: &Folder) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(PART, part).env("TMPDIR", &folder.0);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// A mapped file of `pages` pages of ones, cut to `left` by someone else.
fn cut_file(path: &Path, pages: u64, left: u64) -> Map {
    let file = Disk.create(path).unwrap();
    file.write_at(0, &[&vec![1; (pages * PAGE) as usize]]).unwrap();
    let map = file.map((pages * PAGE) as usize).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(left * PAGE).unwrap();
    map
}

#[test]
fn a_file_cut_from_outside_reads_as_zeros_and_is_marked() {
    let folder = Folder::new();
    let sound = Disk.create(&folder.0.join("sound")).unwrap();
    sound.write_at(0, &[&[7; 100]]).unwrap();
    let sound = sound.map(1 << 20).unwrap();
    let map = cut_file(&folder.0.join("cut"), 8, 6);
    assert!(map.bytes(0, 6 * PAGE as usize).unwrap().iter().all(|byte| *byte == 1));
    assert!(!map.damaged(), "nothing missing was read yet");
    assert!(map.bytes(6 * PAGE, 2 * PAGE as usize).unwrap().iter().all(|byte| *byte == 0));
    assert!(map.damaged());
    assert!(map.clone().damaged());
    assert!(map.bytes(0, 6 * PAGE as usize).unwrap().iter().all(|byte| *byte == 1), "the rest stays");
    assert_eq!(sound.bytes(0, 100).unwrap(), [7; 100]);
    assert!(!sound.damaged());
}

#[test]
fn a_read_beyond_the_end_of_a_file_in_memory_is_damage_too() {
    let disk = MemoryDisk::new();
    let file = disk.create(Path::new("/f")).unwrap();
    let map = file.map(1 << 20).unwrap();
    assert_eq!(map.bytes(PAGE, 4).unwrap(), [0; 4]);
    assert!(map.damaged());
    assert!(!file.map(1 << 20).unwrap().damaged(), "a new map is a new start");
}

#[test]
fn many_threads_hit_the_same_damage_while_maps_come_and_go() {
    let folder = Folder::new();
    let sound = Disk.create(&folder.0.join("sound")).unwrap();
    sound.write_at(0, &[&[7; 100]]).unwrap();
    let mapped = |file: &dyn File| file.map(1 << 20).unwrap();
    std::thread::scope(|scope| {
        for round in 0..10 {
            let map = cut_file(&folder.0.join(format!("cut-{round}")), 16, 15);
            for _ in 0..4 {
                let map = map.clone();
                scope.spawn(move || {
                    let bytes = map.bytes(0, map.len()).unwrap();
                    assert_eq!(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 15 * PAGE);
                    assert!(map.damaged());
                });
            }
            for _ in 0..200 {
                let map = mapped(&*sound);
                assert_eq!(map.bytes(0, 100).unwrap(), [7; 100]);
                assert!(!map.damaged());
            }
        }
    });
}

#[test]
fn damage_everywhere_does_not_use_up_the_mappings_of_the_process() {
    let name = "damage_everywhere_does_not_use_up_the_mappings_of_the_process";
    // In a process of its own: for a moment there is no mapping left for anyone.
    if part().is_none() {
        assert!(child(name, "read", &Folder::new()).status().unwrap().success());
        return;
    }
    let folder = Folder::new();
    let file = Disk.create(&folder.0.join("empty")).unwrap();
    let map = file.map(1 << 30).unwrap();
    // Pages of zeros that do not touch each other cannot become one mapping.
    let sum: u64 = (0..1 << 17).map(|page| u64::from(map.bytes(page * 8192, 1).unwrap()[0])).sum();
    assert_eq!((sum, map.damaged()), (0, true));
}

/// Reads a mapped page beyond the end of a file, without the engine.
fn foreign_fault(path: &Path) {
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    // SAFETY: a new mapping; reading it is meant to be answered with SIGBUS.
    unsafe {
        use std::os::fd::AsRawFd;
        let start = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(start, libc::MAP_FAILED);
        start.cast::<u8>().read_volatile();
    }
}

fn set_handler(handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: all-zero is a valid `sigaction`; the handlers of this file keep to what handlers may do.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        let mut old: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, &raw mut old), 0);
        old
    }
}

extern "C" fn exit_with_42(_signal: c_int) {
    // SAFETY: safe in a handler.
    unsafe { libc::_exit(42) }
}

/// What Python's faulthandler does: gives the signal back to whoever had it and raises it again.
extern "C" fn give_back_and_raise(signal: c_int) {
    // SAFETY: set before this handler was; both calls are safe in a handler.
    unsafe {
        libc::sigaction(signal, &raw const BEFORE, ptr::null_mut());
        libc::raise(signal);
    }
}

static mut BEFORE: libc::sigaction = {
    // SAFETY: all-zero is a valid `sigaction`.
    unsafe { MaybeUninit::zeroed().assume_init() }
};

#[test]
fn a_bus_error_that_is_not_ours_goes_where_it_went_before() {
    let name = "a_bus_error_that_is_not_ours_goes_where_it_went_before";
    let Some(part) = part() else {
        let folder = Folder::new();
        let run = |part: &str| -> ExitStatus { child(name, part, &folder).status().unwrap() };
        assert_eq!(run("default").signal(), Some(libc::SIGBUS));
        assert_eq!(run("ignored").signal(), Some(libc::SIGBUS));
        assert_eq!(run("sent").signal(), Some(libc::SIGBUS));
        assert_eq!(run("handler").code(), Some(42));
        assert_eq!(run("later handler, foreign").signal(), Some(libc::SIGBUS));
        assert_eq!(run("later handler, ours").code(), Some(43));
        return;
    };
    let folder = Folder::new();
    match part.as_str() {
        "ignored" => drop(set_handler(libc::SIG_IGN, 0)),
        "handler" => drop(set_handler(exit_with_42 as extern "C" fn(c_int) as usize, 0)),
        _ => drop(set_handler(libc::SIG_DFL, 0)),
    }
    let map = cut_file(&folder.0.join("cut"), 2, 1);
    let [one, two] = [map.bytes(0, 1), map.bytes(PAGE, 1)].map(|byte| byte.unwrap()[0]);
    assert_eq!((one, two, map.damaged()), (1, 0, true));
    if part.starts_with("later handler") {
        let handler = give_back_and_raise as extern "C" fn(c_int) as usize;
        let before = set_handler(handler, libc::SA_NODEFER);
        // SAFETY: written before the signal comes, by the only thread that reads it.
        unsafe { BEFORE = before };
    }
    match part.as_str() {
        // SAFETY: sends a signal.
        "sent" => unsafe {
            libc::kill(libc::getpid(), libc::SIGBUS);
        },
        "later handler, ours" => {
            let map = cut_file(&folder.0.join("again"), 2, 1);
            assert_eq!((map.bytes(PAGE, 1).unwrap()[0], map.damaged()), (0, true));
            std::process::exit(43);
        }
        _ => foreign_fault(&folder.0.join("foreign")),
    }
    panic!("survived");
}

fn refused(path: &Path) -> Option<u32> {
    match DirectoryLock::acquire(path) {
        Err(Error::DirectoryInUse { pid }) => pid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_is_opened_once_even_in_one_process() {
    let folder = Folder::new();
    let lock = DirectoryLock::acquire(&folder.0).unwrap();
    assert_eq!(refused(&folder.0), Some(std::process::id()));
    assert_eq!(lock.check_process(), Ok(()));
    drop(lock);
    drop(DirectoryLock::acquire(&folder.0).unwrap());
    assert!(matches!(DirectoryLock::acquire(&folder.0.join("none")), Err(Error::StorageFailed { .. })));
}

fn wait_for_line(child: &mut Child) {
    let mut output = child.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"locked\n") {
        output.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
}

#[test]
fn the_lock_names_its_holder_and_dies_with_it() {
    if let Some(path) = part() {
        let _lock = DirectoryLock::acquire(Path::new(&path)).unwrap();
        println!("locked");
        std::io::stdout().flush().unwrap();
        // Until it is killed.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let folder = Folder::new();
    let path = folder.0.to_str().unwrap();
    let mut holder = child("the_lock_names_its_holder_and_dies_with_it", path, &folder);
    let mut holder = holder.stdin(Stdio::piped()).spawn().unwrap();
    wait_for_line(&mut holder);
    assert_eq!(refused(&folder.0), Some(holder.id()));
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(DirectoryLock::acquire(&folder.0).unwrap());
}

/// Forks; the child runs `play` and exits with what it answers.
fn fork(play: impl FnOnce() -> c_int) -> libc::pid_t {
    // SAFETY: the child allocates nothing and takes no lock before it exits.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = play();
        // SAFETY: ends the child, without the parent's buffers.
        unsafe { libc::_exit(code) };
    }
    pid
}

fn exit_code(pid: libc::pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: waits for a child of ours; `status` is written.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status));
    libc::WEXITSTATUS(status)
}

#[test]
fn a_forked_child_may_not_use_the_lock_and_does_not_release_it() {
    let folder = Folder::new();
    let lock = DirectoryLock::acquire(&folder.0).unwrap();
    // SAFETY: the child's copy of the lock, used by no one else there.
    let copy = unsafe { ptr::read(&raw const lock) };
    let mut copy = std::mem::ManuallyDrop::new(copy);
    let pid = fork(|| {
        let verdict = copy.check_process();
        // SAFETY: dropped once; the original is never dropped in the child.
        unsafe { std::mem::ManuallyDrop::drop(&mut copy) };
        if verdict == Err(Error::Forked) { 0 } else { 1 }
    });
    assert_eq!(exit_code(pid), 0);
    assert_eq!(refused(&folder.0), Some(std::process::id()));
}

#[test]
fn a_living_child_does_not_keep_the_lock_its_parent_gave_back() {
    let folder = Folder::new();
    let lock = DirectoryLock::acquire(&folder.0).unwrap();
    // The child lives until the writing end is closed.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writing_end = std::os::fd::AsRawFd::as_raw_fd(&writer);
    let pid = fork(|| {
        // SAFETY: the child's own copy, which would keep the pipe open.
        unsafe { libc::close(writing_end) };
        c_int::from(reader.read(&mut [0]).is_err())
    });
    drop(lock);
    let again = DirectoryLock::acquire(&folder.0);
    drop(writer);
    assert_eq!(exit_code(pid), 0);
    again.unwrap();
}

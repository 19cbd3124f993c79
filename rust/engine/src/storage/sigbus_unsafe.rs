//! What happens when a mapped page cannot be read: a bad medium, a file cut by someone else. The system
//! answers such a read with SIGBUS. The handler here puts a page of zeros in the place of the one that is
//! missing, marks the mapping as damaged and lets the read go on; the reader asks for the mark afterwards.
//! A SIGBUS that is not about one of our mappings goes to whoever had the signal before.
//!
//! The handler runs at any point of any thread: it takes no lock, allocates nothing, and reads a table
//! whose entries never move. A fork may leave a lock held for ever in the child, so the table has none.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

const CHUNK: usize = 1024;
/// With [`CHUNK`] entries each: four times the mappings that Linux allows a process by default.
const CHUNKS: usize = 256;

/// Pages of one mapping that are replaced one by one, before all of it is. Each splits the mapping, and at
/// the system's bound on their number (`vm.max_map_count`) no page at all can be replaced any more.
const REPAIRS: u32 = 64;

static TABLE: [OnceLock<Box<[Entry]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
/// How many entries were ever taken; the handler looks no further.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Top of the stack of returned entries: its number plus one (0: empty) below, a count of changes above.
static RETURNED: AtomicU64 = AtomicU64::new(0);

static PAGE: AtomicUsize = AtomicUsize::new(4096);
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
/// A SIGBUS that this process sent itself was let pass; see `handle`.
static LET_PASS: AtomicBool = AtomicBool::new(false);

/// One mapping. `version` is odd while the entry changes.
#[derive(Default)]
struct Entry {
    version: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    damaged: AtomicBool,
    repairs: AtomicU32,
    below: AtomicU32,
}

impl Entry {
    fn set(&self, start: usize, end: usize) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The range, unless it is changing: the mapping of a thread that stands in the handler is not.
    fn range(&self) -> Option<(usize, usize)> {
        let before = self.version.load(Ordering::Acquire);
        let range = (self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before).then_some(range)
    }
}

/// Keeps an eye on one mapping from [`Watch::over`] to [`Watch::end`].
pub(super) struct Watch {
    number: u32,
    entry: &'static Entry,
}

impl Watch {
    /// Watches the mapping at `start`.
    pub(super) fn over(start: usize, length: usize) -> io::Result<Self> {
        install()?;
        let (number, entry) = match take_returned() {
            Some(taken) => taken,
            None => take_new()?,
        };
        entry.damaged.store(false, Ordering::Relaxed);
        entry.repairs.store(0, Ordering::Relaxed);
        entry.set(start, start + length);
        Ok(Self { number, entry })
    }

    pub(super) fn damaged(&self) -> bool {
        self.entry.damaged.load(Ordering::Acquire)
    }

    /// Stops watching; called once, before the mapping goes.
    pub(super) fn end(&mut self) {
        self.entry.set(0, 0);
        let mut top = RETURNED.load(Ordering::Acquire);
        loop {
            self.entry.below.store(top as u32, Ordering::Relaxed);
            let new = next_change(top) | u64::from(self.number + 1);
            match RETURNED.compare_exchange_weak(top, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

fn take_returned() -> Option<(u32, &'static Entry)> {
    let mut top = RETURNED.load(Ordering::Acquire);
    loop {
        let number = (top as u32).checked_sub(1)?;
        let entry = entry(number as usize)?;
        let new = next_change(top) | u64::from(entry.below.load(Ordering::Relaxed));
        match RETURNED.compare_exchange_weak(top, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some((number, entry)),
            Err(now) => top = now,
        }
    }
}

fn take_new() -> io::Result<(u32, &'static Entry)> {
    let full = || io::Error::from_raw_os_error(libc::ENOMEM);
    let number = TAKEN
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            (taken < CHUNK * CHUNKS).then_some(taken + 1)
        })
        .map_err(|_| full())?;
    let chunk = TABLE[number / CHUNK].get_or_init(|| (0..CHUNK).map(|_| Entry::default()).collect());
    // Below 2^18, so it fits.
    Ok((number as u32, &chunk[number % CHUNK]))
}

fn next_change(top: u64) -> u64 {
    ((top >> 32).wrapping_add(1)) << 32
}

fn entry(number: usize) -> Option<&'static Entry> {
    TABLE.get(number / CHUNK)?.get()?.get(number % CHUNK)
}

/// Takes over SIGBUS, the first time.
fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = INSTALLED.get_or_init(|| {
        // SAFETY: no memory is involved.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).unwrap_or(4096), Ordering::Relaxed);
        // Known before the handler can run.
        let previous = action(None)?;
        PREVIOUS.get_or_init(|| previous);
        // SAFETY: all-zero is a valid `sigaction`.
        let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
        ours.sa_sigaction = handler as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        action(Some(&ours)).map(drop)
    });
    result.map_err(io::Error::from_raw_os_error)
}

/// Replaces the action on SIGBUS, or only looks at it.
fn action(new: Option<&libc::sigaction>) -> Result<libc::sigaction, i32> {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `new` is null or a valid action, whose handler keeps to what a handler may do; `old` is
    // large enough.
    if unsafe { libc::sigaction(libc::SIGBUS, new, old.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
    }
    // SAFETY: zeroed and then filled; any pattern is a valid `sigaction`.
    Ok(unsafe { old.assume_init() })
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the address of this thread's `errno`, which the code that was interrupted may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the system passes a valid `siginfo_t`.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let fault = code > 0;
    let settled = if fault {
        repair(address)
    } else {
        // Python's faulthandler, enabled after us, answers a fault by printing, giving the signal back to
        // us and raising it again. Letting that one pass makes the read fault again, and then it is ours
        // to see. One that comes with no fault after the last is meant.
        code == libc::SI_TKILL && from_this_process(info) && !LET_PASS.swap(true, Ordering::AcqRel)
    };
    if !settled {
        pass_on(fault, signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn from_this_process(info: *mut libc::siginfo_t) -> bool {
    // SAFETY: a signal sent by `tkill` carries the sender.
    unsafe { (*info).si_pid() == libc::getpid() }
}

/// Puts zeros where `address` lies, if it lies in one of our mappings.
fn repair(address: usize) -> bool {
    let taken = TAKEN.load(Ordering::Acquire);
    for entry in (0..taken).filter_map(entry) {
        let Some((start, end)) = entry.range() else { continue };
        if !(start..end).contains(&address) {
            continue;
        }
        entry.damaged.store(true, Ordering::Release);
        LET_PASS.store(false, Ordering::Release);
        let page = PAGE.load(Ordering::Relaxed);
        // A page alone, as those around it may be good.
        let alone = entry.repairs.fetch_add(1, Ordering::Relaxed) < REPAIRS;
        return alone && zeros(address & !(page - 1), page) || zeros(start, end - start);
    }
    false
}

fn zeros(start: usize, length: usize) -> bool {
    // SAFETY: the range lies in a mapping of ours (to the end of its last page) that the thread in the
    // handler is reading, so that it cannot be unmapped meanwhile; it is only ever read, and what is
    // read there is declared damaged. Linux makes of `mmap` a bare system call, safe in a handler.
    let mapped = unsafe {
        libc::mmap(
            start as *mut c_void,
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    mapped != libc::MAP_FAILED
}

/// Does what would have been done without us.
fn pass_on(fault: bool, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let (handler, flags) =
        PREVIOUS.get().map_or((libc::SIG_DFL, 0), |previous| (previous.sa_sigaction, previous.sa_flags));
    if handler == libc::SIG_IGN && !fault {
        return;
    }
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // SAFETY: all-zero is the default action. A fault happens again when the handler returns; a
        // signal that was sent is sent again, held back until then.
        unsafe {
            let default: libc::sigaction = MaybeUninit::zeroed().assume_init();
            libc::sigaction(signal, &raw const default, ptr::null_mut());
            if !fault {
                libc::raise(signal);
            }
        }
    } else if flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the system held this as a handler of three arguments.
        let handler = unsafe {
            std::mem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(handler)
        };
        handler(signal, info, context);
    } else {
        // SAFETY: the system held this as a handler of one argument.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
        handler(signal);
    }
}

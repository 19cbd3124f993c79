//! What the storage floor promises, of the disk and of its double in memory.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ingot_engine::storage::memory::{Action, Fault, MemoryDisk};
use ingot_engine::storage::{Disk, Storage};

/// A directory of its own for a test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ingot-storage-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs a test on the disk and on the double: what holds for one holds for the other.
fn on_both(test: impl Fn(&dyn Storage, &Path)) {
    let folder = Folder::new();
    test(&Disk, &folder.0);
    test(&MemoryDisk::new(), Path::new("/"));
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().unwrap().kind()
}

#[test]
fn parts_arrive_in_order_however_many() {
    on_both(|storage, root| {
        let file = storage.create(&root.join("f")).unwrap();
        let numbers: Vec<[u8; 3]> = (0..5000_u32).map(|n| [n as u8, (n >> 8) as u8, 7]).collect();
        let mut parts: Vec<&[u8]> = numbers.iter().map(<[u8; 3]>::as_slice).collect();
        parts.insert(1, &[]);
        file.write_at(10, &parts).unwrap();
        file.write_at(0, &[]).unwrap();
        assert_eq!(file.len().unwrap(), 10 + 15_000);
        let mut read = vec![1; 15_010];
        file.read_at(0, &mut read).unwrap();
        assert_eq!(read[..10], [0; 10]);
        assert_eq!(read[10..], numbers.concat());
        assert_eq!(storage.read(&root.join("f")).unwrap(), read);
        assert_eq!(kind(file.read_at(15_009, &mut [0; 2])), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn allocation_grows_the_file_and_touches_nothing() {
    on_both(|storage, root| {
        let file = storage.create(&root.join("f")).unwrap();
        file.write_at(0, &[b"kept"]).unwrap();
        file.allocate(0, 100_000).unwrap();
        assert_eq!(file.len().unwrap(), 100_000);
        file.allocate(50, 60).unwrap();
        file.allocate(60, 60).unwrap();
        assert_eq!(file.len().unwrap(), 100_000);
        let bytes = storage.read(&root.join("f")).unwrap();
        assert_eq!(&bytes[..4], b"kept");
        assert!(bytes[4..].iter().all(|byte| *byte == 0));
        file.set_len(2).unwrap();
        file.set_len(5).unwrap();
        assert_eq!(storage.read(&root.join("f")).unwrap(), b"ke\0\0\0");
    });
}

#[test]
fn a_full_disk_is_told_apart_and_leaves_the_length() {
    // A tmpfs knows at once that it has not so much; a disk would be filled to find out.
    let path = Path::new("/dev/shm").join(format!("ingot-full-{}", std::process::id()));
    let file = Disk.create(&path).unwrap();
    Disk.remove_file(&path).unwrap();
    file.write_at(0, &[b"kept"]).unwrap();
    assert_eq!(kind(file.allocate(4, 1 << 50)), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 4);
}

#[test]
fn a_map_outgrows_its_file_and_sees_later_writes() {
    on_both(|storage, root| {
        let file = storage.create(&root.join("f")).unwrap();
        let map = file.map(1 << 30).unwrap();
        file.write_at(0, &[&1.5_f32.to_le_bytes(), &(-0.0_f32).to_le_bytes()]).unwrap();
        assert_eq!(map.floats(0, 2).unwrap()[0], 1.5);
        assert!(map.floats(4, 1).unwrap()[0].is_sign_negative());
        file.write_at(1_000_000, &[b"later"]).unwrap();
        let other = map.clone();
        drop(map);
        storage.remove_file(&root.join("f")).unwrap();
        drop(file);
        assert_eq!(other.bytes(1_000_000, 5).unwrap(), b"later");
        assert!(!other.damaged());
    });
}

#[test]
fn a_map_answers_nothing_beyond_its_end() {
    on_both(|storage, root| {
        let file = storage.create(&root.join("f")).unwrap();
        file.write_at(0, &[&[9; 100]]).unwrap();
        let map = file.map(100).unwrap();
        assert_eq!(map.len(), 100);
        assert_eq!(map.bytes(100, 0).unwrap(), b"");
        assert_eq!(map.bytes(99, 1).unwrap(), [9]);
        for (offset, length) in [(100, 1), (0, 101), (101, 0), (u64::MAX, 1), (1, usize::MAX)] {
            assert!(map.bytes(offset, length).is_none());
            assert!(map.floats(offset, length).is_none() || length == 0);
        }
        assert!(map.floats(2, 1).is_none(), "not aligned");
        assert!(map.floats(0, usize::MAX / 2).is_none());
        assert!(file.map(0).unwrap().is_empty());
    });
}

#[test]
fn names_follow_the_rules_of_the_file_system() {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory, NotFound};
    on_both(|storage, root| {
        let at = |name: &str| root.join(name);
        storage.create_dir(&at("a/b")).unwrap();
        storage.create_dir(&at("a/b")).unwrap();
        storage.create(&at("a/f")).unwrap().write_at(0, &[b"f"]).unwrap();
        storage.create(&at("a/g")).unwrap();
        assert_eq!(storage.list(&at("a")).unwrap(), ["b", "f", "g"]);
        assert_eq!(kind(storage.create(&at("a/f"))), AlreadyExists);
        assert_eq!(kind(storage.create_dir(&at("a/f"))), AlreadyExists);
        assert_eq!(kind(storage.create(&at("none/f"))), NotFound);
        assert_eq!(kind(storage.open(&at("a/none"))), NotFound);
        assert_eq!(kind(storage.read(&at("a/none"))), NotFound);
        assert_eq!(kind(storage.open(&at("a/f/x"))), NotADirectory);
        assert_eq!(kind(storage.list(&at("none"))), NotFound);
        assert_eq!(kind(storage.rename(&at("a/none"), &at("x"))), NotFound);
        assert_eq!(kind(storage.rename(&at("a/f"), &at("a/b"))), IsADirectory);
        assert_eq!(kind(storage.rename(&at("a/b"), &at("a/f"))), NotADirectory);
        assert_eq!(kind(storage.remove_file(&at("a/none"))), NotFound);
        assert_eq!(kind(storage.remove_dir(&at("none"))), NotFound);
        assert!(!storage.exists(&at("a/none")).unwrap());

        storage.rename(&at("a/f"), &at("a/g")).unwrap();
        assert_eq!(storage.read(&at("a/g")).unwrap(), b"f");
        storage.create_dir(&at("c")).unwrap();
        storage.rename(&at("a"), &at("c")).unwrap();
        assert_eq!(storage.read(&at("c/g")).unwrap(), b"f");
        storage.create_dir(&at("a")).unwrap();
        assert_eq!(kind(storage.rename(&at("a"), &at("c"))), DirectoryNotEmpty);
        storage.sync_dir(&at("c")).unwrap();
        storage.remove_dir(&at("c")).unwrap();
        assert_eq!(storage.list(root).unwrap(), ["a"]);
    });
}

const SEEDS: u64 = 300;

/// A disk with one durable file, `/f`.
fn disk_with(content: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let file = disk.create(Path::new("/f")).unwrap();
    file.write_at(0, &[content]).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// What `/f` may be after a power cut now.
fn outcomes(disk: &MemoryDisk) -> BTreeSet<Vec<u8>> {
    (0..SEEDS).map(|seed| disk.crash(seed).unwrap().read(Path::new("/f")).unwrap()).collect()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let content: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
    let disk = disk_with(&content);
    let file = disk.open(Path::new("/f")).unwrap();
    file.write_at(5000, &[&[1; 3000]]).unwrap();
    file.allocate(8000, 20_000).unwrap();
    for outcome in outcomes(&disk) {
        assert_eq!(outcome[..5000], content);
    }
    assert_eq!(disk.crash_keeping_nothing().unwrap().read(Path::new("/f")).unwrap(), content);
    let all = disk.crash_keeping_all().unwrap().read(Path::new("/f")).unwrap();
    assert_eq!(all, disk.read(Path::new("/f")).unwrap());
}

#[test]
fn what_was_not_synced_is_kept_torn_and_out_of_order() {
    let disk = disk_with(&[0; 4096]);
    let file = disk.open(Path::new("/f")).unwrap();
    for sector in 0..8 {
        file.write_at(sector * 512, &[&[sector as u8 + 1; 512]]).unwrap();
    }
    file.write_at(4096, &[&[9; 1024]]).unwrap();
    let outcomes = outcomes(&disk);
    let written = |outcome: &[u8], sector: usize| outcome.get(sector * 512).is_some_and(|byte| *byte != 0);
    for outcome in &outcomes {
        for sector in outcome.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole");
        }
    }
    assert!(outcomes.iter().any(|o| o.iter().all(|byte| *byte == 0)), "nothing");
    assert!(outcomes.iter().any(|o| (0..10).all(|sector| written(o, sector))), "all");
    assert!(outcomes.iter().any(|o| !written(o, 0) && written(o, 7)), "out of order");
    assert!(outcomes.iter().any(|o| written(o, 8) != written(o, 9) && o.len() == 5120), "torn");
    let ends_torn = |o: &[u8]| (0..8).all(|sector| written(o, sector)) && written(o, 8) != written(o, 9);
    assert!(outcomes.iter().any(|o| ends_torn(o)), "a prefix, torn at its end");
    assert!(outcomes.iter().any(|o| o.len() == 4096 && written(o, 7)), "length not extended");
    assert!(outcomes.iter().any(|o| o.len() == 5120 && !written(o, 8)), "length without data");
    assert!(
        outcomes.iter().any(|o| (0..4).all(|s| written(o, s)) && !(4..10).any(|s| written(o, s))),
        "prefix"
    );
}

#[test]
fn one_seed_is_one_crash() {
    let disk = disk_with(&[0; 100]);
    let file = disk.open(Path::new("/f")).unwrap();
    (0..20).for_each(|n| file.write_at(n * 700, &[&[7; 700]]).unwrap());
    for seed in 0..20 {
        let [one, two] = [0, 1].map(|_| disk.crash(seed).unwrap().read(Path::new("/f")).unwrap());
        assert_eq!(one, two, "seed {seed}");
    }
}

#[test]
fn a_cut_that_was_kept_lets_nothing_return() {
    let disk = disk_with(&[1; 3000]);
    let file = disk.open(Path::new("/f")).unwrap();
    file.set_len(1000).unwrap();
    file.write_at(2000, &[&[2; 500]]).unwrap();
    let outcomes = outcomes(&disk);
    for outcome in &outcomes {
        match outcome.len() {
            3000 => assert_eq!(outcome[..], [1; 3000], "the cut was not kept"),
            1000 => assert_eq!(outcome[..], [1; 1000]),
            2500 => {
                assert_eq!(outcome[..1000], [1; 1000]);
                assert!(outcome[1000..].iter().all(|byte| *byte != 1), "old bytes returned");
            }
            other => panic!("length {other}"),
        }
    }
    file.sync().unwrap();
    let left = disk.crash_keeping_nothing().unwrap().read(Path::new("/f")).unwrap();
    assert_eq!(left, disk.read(Path::new("/f")).unwrap());
    assert_eq!(outcomes.iter().map(Vec::len).collect::<BTreeSet<_>>(), [1000, 2500, 3000].into());
}

#[test]
fn a_name_is_durable_with_its_directory_and_a_rename_with_its_target() {
    let disk = MemoryDisk::new();
    let path = |name: &str| Path::new("/").join(name);
    disk.create_dir(&path("tmp")).unwrap();
    disk.create_dir(&path("tenants")).unwrap();
    disk.sync_dir(&path("")).unwrap();
    disk.create_dir(&path("tmp/x")).unwrap();
    let file = disk.create(&path("tmp/x/log")).unwrap();
    file.write_at(0, &[b"record"]).unwrap();
    file.sync().unwrap();
    disk.rename(&path("tmp/x"), &path("tenants/y")).unwrap();

    disk.sync_dir(&path("tmp")).unwrap();
    let left = disk.crash_keeping_nothing().unwrap();
    assert!(!left.exists(&path("tenants/y")).unwrap(), "only the old directory was synced");

    disk.sync_dir(&path("tenants")).unwrap();
    let left = disk.crash_keeping_nothing().unwrap();
    assert!(!left.exists(&path("tmp/x")).unwrap(), "a rename is one step");
    assert!(left.list(&path("tenants/y")).unwrap().is_empty(), "its own directory was not synced");

    disk.sync_dir(&path("tenants/y")).unwrap();
    let left = disk.crash_keeping_nothing().unwrap();
    assert_eq!(left.read(&path("tenants/y/log")).unwrap(), b"record");
}

#[test]
fn unsynced_names_are_kept_or_not_but_a_rename_never_half() {
    let disk = disk_with(b"old");
    let new = disk.create(Path::new("/new")).unwrap();
    new.write_at(0, &[b"new"]).unwrap();
    new.sync().unwrap();
    disk.rename(Path::new("/new"), Path::new("/f")).unwrap();
    disk.create(Path::new("/other")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let left = disk.crash(seed).unwrap();
        let replaced = left.read(Path::new("/f")).unwrap() == b"new";
        let names = left.list(Path::new("/")).unwrap();
        assert!(!(replaced && names.contains(&"new".into())), "seed {seed}: both names");
        seen.insert((replaced, names.contains(&"new".into()), names.contains(&"other".into())));
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn a_file_that_moved_twice_is_in_one_place_after_every_crash() {
    let disk = disk_with(b"it");
    disk.create_dir(Path::new("/other")).unwrap();
    disk.rename(Path::new("/f"), Path::new("/other/g")).unwrap();
    disk.rename(Path::new("/other/g"), Path::new("/h")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let left = disk.crash(seed).unwrap();
        let places = ["/f", "/other/g", "/h"].map(|path| left.exists(Path::new(path)).unwrap());
        assert_eq!(places.iter().filter(|there| **there).count(), 1, "seed {seed}: {places:?}");
        seen.insert(places);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn the_nth_operation_fails_as_told_and_only_it() {
    let disk = disk_with(b"");
    let file = disk.open(Path::new("/f")).unwrap();
    let before = disk.operations();
    disk.fail_operation(2, Fault::TornWrite(3));
    disk.fail_operation(3, Fault::NoSpace);
    disk.fail_next(Action::Rename, Fault::Io);
    file.write_at(0, &[b"aaaa"]).unwrap();
    assert_eq!(file.write_at(0, &[b"b", b"bbb"]).unwrap_err().raw_os_error(), Some(libc::EIO));
    assert_eq!(kind(file.allocate(0, 100)), io::ErrorKind::StorageFull);
    assert_eq!(disk.read(Path::new("/f")).unwrap(), b"bbba");
    file.allocate(0, 5).unwrap();
    assert!(disk.rename(Path::new("/f"), Path::new("/g")).is_err());
    disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
    assert_eq!(disk.operations() - before, 6);
    assert_eq!(disk.log().last().unwrap().action, Action::Rename);
    assert_eq!(disk.bytes_written(Path::new("/g")).unwrap(), 7);
}

#[test]
fn data_of_a_failed_sync_never_becomes_durable_by_a_later_one() {
    let disk = disk_with(&[0; 1024]);
    let file = disk.open(Path::new("/f")).unwrap();
    file.write_at(0, &[&[1; 512]]).unwrap();
    disk.fail_next(Action::Sync, Fault::Io);
    assert!(file.sync().is_err());
    file.write_at(512, &[&[2; 512]]).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.syncs(Path::new("/f")).unwrap(), 2);
    assert_eq!(disk.read(Path::new("/f")).unwrap()[..512], [1; 512], "it stays readable");
    let left = disk.crash_keeping_nothing().unwrap().read(Path::new("/f")).unwrap();
    assert_eq!((left[0], left[512]), (0, 2));
    assert_eq!(outcomes(&disk).iter().map(|o| (o[0], o[512])).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    file.write_at(0, &[&[3; 512]]).unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes(&disk).iter().map(|o| o[0]).collect::<Vec<_>>(), [3], "written again, it is kept");
}

#[test]
fn after_a_power_cut_nothing_works_and_the_crash_decides() {
    let disk = disk_with(b"old");
    let file = disk.open(Path::new("/f")).unwrap();
    disk.fail_operation(1, Fault::PowerCut);
    assert!(file.write_at(0, &[b"new"]).is_err());
    assert!(file.sync().is_err());
    assert!(disk.create(Path::new("/g")).is_err());
    assert_eq!(outcomes(&disk), [b"new".to_vec(), b"old".to_vec()].into());
    assert_eq!(disk.crash_keeping_all().unwrap().list(Path::new("/")).unwrap(), ["f"]);
}

#[test]
fn flipped_bits_are_seen_by_reads_and_maps_and_survive() {
    let disk = disk_with(&[0xff; 1000]);
    let map = disk.open(Path::new("/f")).unwrap().map(1000).unwrap();
    disk.corrupt(Path::new("/f"), 510, &[1, 2, 4]).unwrap();
    assert_eq!(map.bytes(509, 5).unwrap(), [0xff, 0xfe, 0xfd, 0xfb, 0xff]);
    let left = disk.crash_keeping_nothing().unwrap().read(Path::new("/f")).unwrap();
    assert_eq!(left[509..514], [0xff, 0xfe, 0xfd, 0xfb, 0xff]);
    assert_eq!(kind(disk.corrupt(Path::new("/f"), 999, &[1, 1])), io::ErrorKind::UnexpectedEof);
}

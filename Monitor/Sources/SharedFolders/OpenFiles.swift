import LinuxCalls

/// A file or folder that the guest has open.
struct OpenFile: ~Copyable {
    let descriptor: FileDescriptor
    let node: UInt32
    let isDirectory: Bool
    let isWritable: Bool
    /// Of a folder: from where the kernel goes on reading it.
    var position: Int64 = 0

    var number: Int32 { descriptor.number }
}

/// Descriptors of folders that were used a moment ago, so that their files are one step away.
///
/// They are few, and each is used for a second at most: then the way to it is walked again from the root, so that a
/// folder that was moved away on the host is soon out of reach.
struct FolderCache: ~Copyable {
    static let capacity = 16
    static let lifetimeNanoseconds: UInt64 = 1_000_000_000

    private struct Entry: BitwiseCopyable {
        var node: UInt32 = 0
        /// A node's number may have gone to another folder.
        var inode: UInt64 = 0
        /// Zero: none; the process's standard input is no folder.
        var descriptor: Int32 = 0
        var opened: UInt64 = 0
        var used: UInt64 = 0
    }

    private var entries: ZeroedTable<Entry>
    private var last = 0
    private var uses: UInt64 = 0

    init() throws(LinuxError) { entries = try ZeroedTable(capacity: Self.capacity) }

    deinit {
        for index in 0..<Self.capacity where entries[index].descriptor > 0 {
            _ = FileDescriptor(owning: entries[index].descriptor)
        }
    }

    /// How many descriptors are held.
    var count: Int {
        var count = 0
        for index in 0..<Self.capacity where entries[index].descriptor > 0 { count += 1 }
        return count
    }

    mutating func descriptor(_ node: UInt32, inode: UInt64, now: UInt64) -> Int32? {
        uses &+= 1
        if entries[last].node != node {
            var place: Int?
            for index in 0..<Self.capacity where entries[index].node == node { place = index }
            guard let place else { return nil }
            last = place
        }
        if entries[last].inode != inode || now &- entries[last].opened > Self.lifetimeNanoseconds {
            clear(last)
            return nil
        }
        entries[last].used = uses
        return entries[last].descriptor
    }

    mutating func insert(
        _ node: UInt32, inode: UInt64, _ descriptor: consuming FileDescriptor, now: UInt64
    ) {
        remove(node)
        var oldest = 0
        for index in 0..<Self.capacity where entries[index].used < entries[oldest].used { oldest = index }
        clear(oldest)
        uses &+= 1
        entries[oldest] = Entry(
            node: node, inode: inode, descriptor: descriptor.release(), opened: now, used: uses)
        last = oldest
    }

    /// The number is somebody else's from now on, or the folder is gone.
    mutating func remove(_ node: UInt32) {
        for index in 0..<Self.capacity where entries[index].node == node { clear(index) }
    }

    mutating func removeAll() { for index in 0..<Self.capacity { clear(index) } }

    private mutating func clear(_ index: Int) {
        if entries[index].descriptor > 0 { _ = FileDescriptor(owning: entries[index].descriptor) }
        entries[index] = Entry()
    }
}

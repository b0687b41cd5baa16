import LinuxCalls

/// A file that the guest remembers: what is needed to find it again, and no descriptor.
struct Node: BitwiseCopyable {
    var inode: UInt64 = 0
    /// When the file was last changed, as of the last opening, in nanoseconds; zero before the first.
    var openedStamp: Int64 = 0
    /// The folder that its name is in.
    var parent: UInt32 = 0
    /// Where the name lies; zero when the file has lost its name.
    var name: UInt32 = 0
    /// How often the guest was told of it and has not said that it forgot.
    var lookups: UInt32 = 0
    /// Nodes whose parent this is.
    var children: UInt32 = 0
    /// The next one with the same hash.
    var next: UInt32 = 0
    var nameLength: UInt8 = 0
    /// The file system, by its place in the table of those seen.
    var device: UInt8 = 0
    var isUsed: UInt8 = 0
}

/// The files that the guest remembers, by number and by what they are on the host.
///
/// A number is a place in a table: the root is 1, zero is nobody. Memory is touched only as far as places were ever
/// taken: about 60 bytes and the name for each file.
struct NodeTable: ~Copyable {
    static let root: UInt32 = 1
    /// The most folders one within the other.
    static let maximumDepth = 1024

    private var nodes: ZeroedTable<Node>
    private var buckets: ZeroedTable<UInt32>
    private(set) var names: NodeNames
    private var devices: ZeroedTable<UInt64>
    private var deviceCount = 0
    private let capacity: Int
    /// Places below were used at some time.
    private var endIndex: UInt32 = 2
    /// The first of the places given back, chained by `next`.
    private var free: UInt32 = 0
    private(set) var count = 1
    let rootDevice: UInt64

    init(root: NodeStatus, capacity wanted: Int) throws(LinuxError) {
        let capacity = min(max(wanted, 16), 1 << 24)
        var bucketCount = 16
        while bucketCount < capacity { bucketCount <<= 1 }
        let nodes = try ZeroedTable<Node>(capacity: capacity)
        let buckets = try ZeroedTable<UInt32>(capacity: bucketCount)
        let names = try NodeNames(capacity: capacity * 32)
        let devices = try ZeroedTable<UInt64>(capacity: 255)
        self.capacity = capacity
        self.nodes = nodes
        self.buckets = buckets
        self.names = names
        self.devices = devices
        rootDevice = root.device
        begin(root.inode)
    }

    private mutating func begin(_ inode: UInt64) {
        devices[0] = rootDevice
        deviceCount = 1
        endIndex = 2
        free = 0
        count = 1
        var node = Node()
        node.inode = inode
        node.lookups = 1
        node.isUsed = 1
        nodes[Int(Self.root)] = node
        putInBucket(Self.root)
    }

    /// Forgets everything but the root, and gives the memory back.
    mutating func removeAll() {
        let inode = nodes[Int(Self.root)].inode
        nodes.removeAll()
        buckets.removeAll()
        names.removeAll()
        begin(inode)
    }

    /// The node of a number that the guest gives.
    func number(_ guestNumber: UInt64) throws(LinuxError) -> UInt32 {
        guard guestNumber > 0, guestNumber < UInt64(endIndex), nodes[Int(guestNumber)].isUsed != 0 else {
            throw .stale
        }
        return UInt32(truncatingIfNeeded: guestNumber)
    }

    subscript(number: UInt32) -> Node {
        get { nodes[Int(number)] }
        set { nodes[Int(number)] = newValue }
    }

    /// The inode number that the guest sees: of other file systems than the root's, made different in the upper bits.
    func guestInode(_ status: NodeStatus) -> UInt64 {
        if status.device == rootDevice { return status.inode }
        for index in 1..<max(deviceCount, 1) where devices[index] == status.device {
            return status.inode ^ UInt64(index) << 56
        }
        return status.inode
    }

    /// Whether a node is the file that was found.
    func isSame(_ number: UInt32, _ status: NodeStatus) -> Bool {
        let node = nodes[Int(number)]
        return node.inode == status.inode && devices[Int(node.device)] == status.device
    }

    /// The node of a file that was found, if the guest remembers it.
    func find(_ status: NodeStatus) -> UInt32? {
        guard let device = place(ofDevice: status.device) else { return nil }
        var number = buckets[bucket(status.inode, device)]
        while number != 0 {
            let node = nodes[Int(number)]
            if node.inode == status.inode, node.device == device { return number }
            number = node.next
        }
        return nil
    }

    /// Notes that the guest is told of a file, found under this name.
    mutating func remember(
        _ status: NodeStatus, parent: UInt32, name: borrowing ByteRoom, at offset: Int, length: Int
    ) throws(LinuxError) -> UInt32 {
        let number: UInt32
        if let known = find(status) { number = known } else { number = try add(status) }
        do throws(LinuxError) {
            try setName(number, parent: parent, name: name, at: offset, length: length)
        } catch {
            removeIfUnused(number)
            throw error
        }
        let (lookups, isTooMany) = nodes[Int(number)].lookups.addingReportingOverflow(1)
        if !isTooMany { nodes[Int(number)].lookups = lookups }
        return number
    }

    private mutating func add(_ status: NodeStatus) throws(LinuxError) -> UInt32 {
        guard let device = placeMakingOne(ofDevice: status.device) else { throw .otherFileSystem }
        let number: UInt32
        if free != 0 {
            number = free
            free = nodes[Int(number)].next
        } else {
            guard Int(endIndex) < capacity else { throw .tooManyFiles }
            number = endIndex
            endIndex &+= 1
        }
        var node = Node()
        node.inode = status.inode
        node.device = device
        node.isUsed = 1
        nodes[Int(number)] = node
        putInBucket(number)
        count &+= 1
        return number
    }

    /// The guest forgets that it was told so often.
    mutating func forget(_ number: UInt32, lookups: UInt64) {
        if number == Self.root { return }
        let known = nodes[Int(number)].lookups
        nodes[Int(number)].lookups = lookups >= UInt64(known) ? 0 : known &- UInt32(truncatingIfNeeded: lookups)
        removeIfUnused(number)
    }

    /// Removes a node that nobody needs, and then its parents that only it needed.
    private mutating func removeIfUnused(_ first: UInt32) {
        var number = first
        while number != Self.root, number != 0 {
            let node = nodes[Int(number)]
            guard node.isUsed != 0, node.lookups == 0, node.children == 0 else { return }
            takeFromBucket(number)
            if node.name != 0 { names.remove(Int(node.name), length: Int(node.nameLength)) }
            var empty = Node()
            empty.next = free
            nodes[Int(number)] = empty
            free = number
            count &-= 1
            let parent = node.parent
            if parent != 0, nodes[Int(parent)].children > 0 { nodes[Int(parent)].children &-= 1 }
            number = parent
        }
    }

    // MARK: Names

    /// Gives a node the name under which it was last seen.
    mutating func setName(
        _ number: UInt32, parent: UInt32, name: borrowing ByteRoom, at offset: Int, length: Int
    ) throws(LinuxError) {
        // The root is where it is; what was found below itself is no tree.
        if number == Self.root || number == parent { throw .stale }
        let node = nodes[Int(number)]
        if node.name != 0, node.parent == parent, Int(node.nameLength) == length,
            names.isEqual(Int(node.name), name, at: offset, length: length)
        {
            return
        }
        guard let place = names.insert(name, at: offset, length: length) else { throw .noMemory }
        // The parent may be what only the old name keeps, and the node itself what only the one that loses its place keeps.
        nodes[Int(parent)].children &+= 1
        nodes[Int(number)].children &+= 1
        detachAncestor(number, above: parent)
        nodes[Int(number)].children &-= 1
        removeName(number)
        nodes[Int(number)].parent = parent
        nodes[Int(number)].name = UInt32(place)
        nodes[Int(number)].nameLength = UInt8(truncatingIfNeeded: length)
    }

    /// A folder that was moved on the host may turn up below what was once in it; then that has lost its place.
    private mutating func detachAncestor(_ number: UInt32, above parent: UInt32) {
        if nodes[Int(number)].children == 0 { return }
        var each = parent
        var left = Self.maximumDepth
        while each != 0, each != Self.root, left > 0 {
            let next = nodes[Int(each)].parent
            if next == number {
                removeName(each)
                return
            }
            each = next
            left &-= 1
        }
    }

    /// The file has no name any more that is known here.
    mutating func removeName(_ number: UInt32) {
        let node = nodes[Int(number)]
        guard node.name != 0 else { return }
        names.remove(Int(node.name), length: Int(node.nameLength))
        nodes[Int(number)].name = 0
        nodes[Int(number)].parent = 0
        if nodes[Int(node.parent)].children > 0 { nodes[Int(node.parent)].children &-= 1 }
        removeIfUnused(node.parent)
    }

    // MARK: Finding by inode

    private func place(ofDevice device: UInt64) -> UInt8? {
        for index in 0..<deviceCount where devices[index] == device { return UInt8(index) }
        return nil
    }

    private mutating func placeMakingOne(ofDevice device: UInt64) -> UInt8? {
        if let place = place(ofDevice: device) { return place }
        guard deviceCount < devices.capacity else { return nil }
        devices[deviceCount] = device
        deviceCount &+= 1
        return UInt8(deviceCount &- 1)
    }

    /// Files made one after the other have neighbouring numbers on most file systems, and then neighbouring places here.
    private func bucket(_ inode: UInt64, _ device: UInt8) -> Int {
        Int(truncatingIfNeeded: (inode ^ inode >> 17 ^ UInt64(device) << 7) & UInt64(buckets.capacity &- 1))
    }

    private mutating func putInBucket(_ number: UInt32) {
        let bucket = bucket(nodes[Int(number)].inode, nodes[Int(number)].device)
        nodes[Int(number)].next = buckets[bucket]
        buckets[bucket] = number
    }

    private mutating func takeFromBucket(_ number: UInt32) {
        let gone = nodes[Int(number)]
        let bucket = bucket(gone.inode, gone.device)
        var each = buckets[bucket]
        if each == number {
            buckets[bucket] = gone.next
            return
        }
        while each != 0 {
            let next = nodes[Int(each)].next
            if next == number {
                nodes[Int(each)].next = gone.next
                return
            }
            each = next
        }
    }
}

import CLinux
import GuestMemory
import LinuxCalls

/// Serves one folder of this host to a guest, by the requests of FUSE.
///
/// Every file is found anew when it is asked for, from the folder's own descriptor over names of one component each: no
/// link is followed, no other mount entered, and nothing outside can be named. What the guest remembers costs a place in
/// a table, not a descriptor.
///
/// Trust: requests are the guest's word; names, numbers, offsets and lengths are checked before use. The files may change
/// at any time by the host's doing. What does not fit is answered with an error number; nothing traps or waits for
/// another process, but for the host's file system itself.
/// Source: Linux, include/uapi/linux/fuse.h, version 7.33.
struct FolderServer: ~Copyable {
    /// Longest request but for what a write carries: an attribute's value, its name and the headers.
    static let requestBytes = 128 << 10
    static let replyBytes = 128 << 10
    static let replyHeaderBytes = 16
    static let entryBytes = 32 << 10
    /// Most bytes of one read or write.
    static let transferBytes: UInt32 = 1 << 20

    let root: FileDescriptor
    let rootStatus: NodeStatus
    let settings: FolderSettings
    var metrics = FolderMetrics()

    var nodes: NodeTable
    var open: SlotTable<OpenFile>
    var folders: FolderCache
    var now: UInt64 = 0
    var isInitialized = false

    let request: ByteRoom
    let reply: ByteRoom
    /// What was read of a folder and is not yet handed on.
    let entries: ByteRoom
    var listing = ListingState()
    /// The way to a folder, from below.
    var way: ZeroedTable<UInt32>

    /// - Parameter root: the folder, opened with O_PATH.
    /// - Throws: ENOTDIR when it is none, or what the host lacks.
    init(_ root: consuming FileDescriptor, _ settings: FolderSettings) throws(LinuxError) {
        let status = try FolderCalls.status(root.number)
        guard status.isDirectory else { throw .notADirectory }
        // Files are opened through /proc; without it nothing would work later.
        _ = try FolderCalls.reopen(root.number, [.path])
        let nodes = try NodeTable(root: status, capacity: settings.nodeLimit)
        let request = try ByteRoom(capacity: Self.requestBytes)
        let reply = try ByteRoom(capacity: Self.replyBytes)
        let entries = try ByteRoom(capacity: Self.entryBytes)
        let folders = try FolderCache()
        let way = try ZeroedTable<UInt32>(capacity: NodeTable.maximumDepth)
        self.root = root
        self.settings = settings
        rootStatus = status
        self.nodes = nodes
        open = SlotTable(capacity: settings.openFileLimit)
        self.request = request
        self.reply = reply
        self.entries = entries
        self.folders = folders
        self.way = way
    }

    /// Forgets the guest: closes what it has open, and what it remembers is gone.
    mutating func reset() {
        isInitialized = false
        for index in 0..<open.endIndex where open.contains(index) { _ = open.remove(at: index) }
        folders.removeAll()
        nodes.removeAll()
        listing = ListingState()
    }

    /// Serves one request.
    ///
    /// - Parameters:
    ///   - readable: the request; what it carries is taken from it.
    ///   - writable: room for the answer.
    /// - Returns: how many bytes were written; zero for requests that want no answer.
    mutating func serve(
        _ readable: inout IOVectorList, _ writable: inout IOVectorList, now: UInt64
    ) -> UInt32 {
        self.now = now
        metrics.requests &+= 1
        guard let header = takeHeader(&readable) else {
            metrics.badRequests &+= 1
            return 0
        }
        let operation = FUSEOperation(rawValue: header.operation)
        switch operation {
        case .forget, .batchForget, .interrupt:
            forget(header, operation)
            return 0
        default: break
        }
        var result = 0
        var errorNumber: Int32 = 0
        do throws(LinuxError) {
            guard let operation else { throw .notImplemented }
            guard writable.totalBytes >= UInt64(Self.replyHeaderBytes) else { throw .invalidArgument }
            if operation == .read {
                result = try read(header, &writable)
            } else if operation == .write {
                result = try write(header, &readable)
            } else {
                result = try answer(header, operation)
            }
            if operation != .read, writable.totalBytes < UInt64(Self.replyHeaderBytes + result) { throw .outOfRange }
        } catch {
            errorNumber = error.number
            metrics.refusals &+= 1
            result = 0
        }
        let total = Self.replyHeaderBytes &+ result
        reply.store(UInt32(total), at: 0)
        reply.store(-errorNumber, at: 4)
        reply.store(header.unique, at: 8)
        let isRead = operation == .read
        let copied = writable.copyIn(reply, count: isRead ? Self.replyHeaderBytes : total)
        return UInt32(isRead && errorNumber == 0 ? total : copied)
    }

    /// Takes the request out of guest memory, but for what a write carries.
    private mutating func takeHeader(_ readable: inout IOVectorList) -> FUSERequest? {
        let wanted = FUSERequest.headerBytes
        guard readable.removeFirst(wanted, into: request) == wanted else { return nil }
        let operation = request.load(UInt32.self, at: 4)
        // A write's own fields are 40 bytes; its bytes stay where they are.
        let most = operation == FUSEOperation.write.rawValue ? 40 : Self.requestBytes - wanted
        let count = readable.removeFirst(
            Int(min(UInt64(most), readable.totalBytes)), into: request, at: wanted)
        return FUSERequest(
            operation: operation, unique: request.load(at: 8), node: request.load(at: 16), user: request.load(at: 24),
            group: request.load(at: 28), lengthBytes: wanted + count)
    }

    /// Everything but reads, writes and what wants no answer. Returns how many bytes were put behind the reply's header.
    private mutating func answer(_ header: FUSERequest, _ operation: FUSEOperation) throws(LinuxError) -> Int {
        if operation == .initialize { return try initialize(header) }
        guard isInitialized else { throw .inputOutput }
        if operation == .destroy {
            reset()
            return 0
        }
        if settings.isReadOnly, operation.changesFolder { throw .readOnlyFileSystem }
        let node = try nodes.number(header.node)
        switch operation {
        case .lookup: return try lookUp(header, node)
        case .getAttributes: return try attributes(header, node)
        case .setAttributes: return try setAttributes(header, node)
        case .readLink: return try readLink(node)
        case .symbolicLink: return try makeSymbolicLink(header, node)
        case .makeNode: return try makeNode(header, node)
        case .makeDirectory: return try makeDirectory(header, node)
        case .unlink: return try remove(header, node, isDirectory: false)
        case .removeDirectory: return try remove(header, node, isDirectory: true)
        case .rename, .renameWithFlags: return try rename(header, node, operation)
        case .link: return try link(header, node)
        case .open: return try open(header, node)
        case .create: return try create(header, node)
        case .release, .releaseDirectory: return try release(header)
        case .flush: return try flush(header)
        case .synchronize, .synchronizeDirectory: return try synchronize(header)
        case .statFileSystem: return try statFileSystem()
        case .openDirectory: return try openDirectory(node)
        case .readDirectory: return try list(header, node, isPlus: false)
        case .readDirectoryPlus: return try list(header, node, isPlus: true)
        case .setExtendedAttribute: return try setExtendedAttribute(header, node)
        case .getExtendedAttribute: return try extendedAttribute(header, node)
        case .listExtendedAttributes: return try listExtendedAttributes(header, node)
        case .removeExtendedAttribute: return try removeExtendedAttribute(header, node)
        case .allocate: return try allocate(header)
        case .seek: return try seek(header)
        case .copyRange: return try copyRange(header)
        case .initialize, .destroy, .read, .write, .forget, .batchForget, .interrupt: throw .notImplemented
        }
    }

    private mutating func forget(_ header: FUSERequest, _ operation: FUSEOperation?) {
        guard isInitialized else { return }
        if operation == .forget, header.hasBody(8), let node = try? nodes.number(header.node) {
            nodes.forget(node, lookups: request.load(at: header.body))
        }
        guard operation == .batchForget, header.hasBody(8) else { return }
        var place = header.body + 8
        var left = request.load(UInt32.self, at: header.body)
        while left > 0, place + 16 <= header.lengthBytes {
            if let node = try? nodes.number(request.load(at: place)) {
                nodes.forget(node, lookups: request.load(at: place + 8))
            }
            place += 16
            left &-= 1
        }
    }

    // MARK: Finding

    /// A name in the request: one component, and a zero behind it.
    func name(_ header: FUSERequest, at offset: Int) throws(LinuxError) -> RequestName {
        guard offset < header.lengthBytes, let end = request.firstZero(from: offset, before: header.lengthBytes) else {
            throw .invalidArgument
        }
        let length = end - offset
        if length > 255 { throw .nameTooLong }
        if length == 0 { throw .noEntry }
        for index in offset..<end where request.load(UInt8.self, at: index) == UInt8(ascii: "/") {
            throw .invalidArgument
        }
        if request.holds(".", at: offset, before: end), length == 1 { throw .invalidArgument }
        if request.holds("..", at: offset, before: end), length == 2 { throw .invalidArgument }
        return RequestName(offset: offset, length: length)
    }

    /// A descriptor (O_PATH) of a folder, good until the next call of this.
    mutating func folder(_ node: UInt32) throws(LinuxError) -> Int32 {
        if node == NodeTable.root { return root.number }
        if let known = folders.descriptor(node, inode: nodes[node].inode, now: now) { return known }
        // Up to where the way is known, and down again.
        var depth = 0
        var each = node
        var start = root.number
        while each != NodeTable.root {
            if depth > 0, let known = folders.descriptor(each, inode: nodes[each].inode, now: now) {
                start = known
                break
            }
            guard depth < NodeTable.maximumDepth else { throw .tooManyLevels }
            guard nodes[each].name != 0 else { throw .stale }
            way[depth] = each
            depth &+= 1
            each = nodes[each].parent
        }
        // What was opened last stays open while its number is walked on from.
        var from = start
        var found: FileDescriptor?
        while depth > 0 {
            depth &-= 1
            let next = try FolderCalls.open(
                from, nodes.names.name(Int(nodes[way[depth]].name)), [.path, .directory])
            let status = try FolderCalls.status(next.number)
            guard nodes.isSame(way[depth], status) else { throw .stale }
            from = next.number
            found = consume next
        }
        guard let descriptor = consume found else { throw .stale }
        let number = descriptor.number
        folders.insert(node, inode: nodes[node].inode, descriptor, now: now)
        return number
    }

    /// What lies at a name in a folder; a mount is not the folder's.
    func inspect(_ folder: Int32, _ name: KernelName) throws(LinuxError) -> NodeStatus {
        let status = try FolderCalls.status(folder, name)
        guard status.mountID == rootStatus.mountID else { throw .otherFileSystem }
        return status
    }

    /// What a node is now: ESTALE when another file has its name.
    mutating func status(_ node: UInt32) throws(LinuxError) -> NodeStatus {
        if node == NodeTable.root { return try FolderCalls.status(root.number) }
        if nodes[node].name == 0 { return try FolderCalls.status(openDescriptor(of: node)) }
        let folder = try folder(nodes[node].parent)
        let status: NodeStatus
        do throws(LinuxError) {
            status = try inspect(folder, nodes.names.name(Int(nodes[node].name)))
        } catch {
            throw error == .noEntry ? .stale : error
        }
        guard nodes.isSame(node, status) else { throw .stale }
        return status
    }

    /// A descriptor by which the guest has a file open that may have no name any more.
    func openDescriptor(of node: UInt32) throws(LinuxError) -> Int32 {
        for index in 0..<open.endIndex where open.contains(index) && open[index].node == node {
            return open[index].number
        }
        throw .stale
    }

    /// A descriptor of the very file that a node is: with O_PATH, or one of the guest's own.
    mutating func descriptor(_ node: UInt32) throws(LinuxError) -> FileDescriptor {
        if node == NodeTable.root { return try duplicate(root.number) }
        if nodes[node].name == 0 { return try duplicate(openDescriptor(of: node)) }
        let folder = try folder(nodes[node].parent)
        let file = try FolderCalls.open(folder, nodes.names.name(Int(nodes[node].name)), [.path])
        let status = try FolderCalls.status(file.number)
        guard nodes.isSame(node, status) else { throw .stale }
        return file
    }

    private func duplicate(_ descriptor: Int32) throws(LinuxError) -> FileDescriptor {
        FileDescriptor(owning: try fileControl(descriptor, F_DUPFD_CLOEXEC, 3))
    }

    /// The place of a handle that the guest gives.
    func handle(_ number: UInt64) throws(LinuxError) -> Int {
        guard let index = Int(exactly: number), open.contains(index) else { throw .badDescriptor }
        return index
    }
}

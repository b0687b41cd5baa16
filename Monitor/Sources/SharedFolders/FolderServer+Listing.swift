import LinuxCalls

/// What is in the room for entries: the rest of what was read of one open folder.
struct ListingState {
    var handle = -1
    var place = 0
    var end = 0
    /// The guest's offset of the entry at `place`.
    var offset: Int64 = 0
}

extension FolderServer {
    /// Answers READDIR and READDIRPLUS: as many entries as there is room for.
    ///
    /// The host's own offsets are handed through. Reading goes on where it stopped; a guest that begins elsewhere gets a
    /// descriptor of its own for that, for file systems that read ahead do not all follow a seek.
    mutating func list(_ header: FUSERequest, _ node: UInt32, isPlus: Bool) throws(LinuxError) -> Int {
        guard header.hasBody(20) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        let offset = Int64(bitPattern: request.load(UInt64.self, at: header.body + 8))
        let size = min(Int(request.load(UInt32.self, at: header.body + 16)), Self.replyBytes - Self.replyHeaderBytes)
        guard open[index].isDirectory else { throw .notADirectory }
        // The guest says for which folder; what it is told of belongs there.
        guard open[index].node == node else { throw .badDescriptor }
        if listing.handle != index || listing.offset != offset { try begin(index, at: offset) }
        let folder = isPlus ? try folder(node) : -1
        var count = 0
        while true {
            if listing.place >= listing.end {
                guard try readOn(index, atMost: size) else { return count }
            }
            guard let entry = Entry(entries, at: listing.place, before: listing.end) else { throw .inputOutput }
            let added =
                try isPlus
                ? putPlus(entry, node, folder, at: count, size) : put(entry, at: count, size)
            guard let added else { return count }
            count += added
            listing.place += entry.lengthBytes
            listing.offset = entry.nextOffset
        }
    }

    /// Begins to read a folder at an offset that an earlier answer gave.
    private mutating func begin(_ index: Int, at offset: Int64) throws(LinuxError) {
        if open[index].position != offset || listing.handle == index {
            let node = open[index].node
            let descriptor = try reopenUnnoticed(open[index].number, [.readOnly, .directory])
            if offset != 0 { try FolderCalls.seek(descriptor.number, to: offset) }
            _ = open.remove(at: index)
            var again = OpenFile(descriptor: descriptor, node: node, isDirectory: true, isWritable: false)
            again.position = offset
            open.insert(again, at: index)
        }
        listing = ListingState(handle: index, place: 0, end: 0, offset: offset)
    }

    /// Reads more of the folder; false at its end.
    private mutating func readOn(_ index: Int, atMost size: Int) throws(LinuxError) -> Bool {
        // About as much as will fit into the answer, but never less than the longest entry.
        let wanted = min(max(size, 1024), Self.entryBytes)
        let count = try FolderCalls.readEntries(open[index].number, into: entries, atMost: wanted)
        listing.place = 0
        listing.end = count
        if count == 0 { return false }
        var place = 0
        while place < count, let entry = Entry(entries, at: place, before: count) {
            open[index].position = entry.nextOffset
            place += entry.lengthBytes
        }
        return true
    }

    /// One `struct linux_dirent64`.
    private struct Entry {
        var inode: UInt64
        var nextOffset: Int64
        var lengthBytes: Int
        var type: UInt8
        var name: Int
        var nameLength: Int

        init?(_ room: borrowing ByteRoom, at place: Int, before end: Int) {
            guard place + 20 <= end else { return nil }
            inode = room.load(at: place)
            nextOffset = room.load(at: place + 8)
            lengthBytes = Int(room.load(UInt16.self, at: place + 16))
            type = room.load(at: place + 18)
            name = place + 19
            guard lengthBytes > 19, place + lengthBytes <= end,
                let zero = room.firstZero(from: name, before: place + lengthBytes), zero > name, zero - name <= 255
            else { return nil }
            nameLength = zero - name
        }
    }

    private static let entryHeaderBytes = 24

    /// `struct fuse_dirent`; nil when it does not fit.
    private func put(_ entry: Entry, at count: Int, _ size: Int, behind: Int = 0) -> Int? {
        let length = Self.entryHeaderBytes + (entry.nameLength + 7) / 8 * 8
        guard count + behind + length <= size else { return nil }
        let place = Self.replyHeaderBytes + count + behind
        reply.store(entry.inode, at: place)
        reply.store(entry.nextOffset, at: place + 8)
        reply.store(UInt32(entry.nameLength), at: place + 16)
        reply.store(UInt32(entry.type), at: place + 20)
        reply.fill(place + length - 8, count: 8)
        reply.copy(entries, from: entry.name, count: entry.nameLength, to: place + Self.entryHeaderBytes)
        return behind + length
    }

    /// `struct fuse_direntplus`; nil when it does not fit. What cannot be told of now (it is gone, or is a mount) is
    /// listed without its attributes.
    private mutating func putPlus(
        _ entry: Entry, _ node: UInt32, _ folder: Int32, at count: Int, _ size: Int
    ) throws(LinuxError) -> Int? {
        guard let length = put(entry, at: count, size, behind: Self.entryAnswerBytes) else { return nil }
        let isSelfOrParent =
            (entry.nameLength == 1 && entries.holds(".", at: entry.name, before: listing.end))
            || (entry.nameLength == 2 && entries.holds("..", at: entry.name, before: listing.end))
        let place = Self.replyHeaderBytes + count
        reply.fill(place, count: Self.entryAnswerBytes)
        guard !isSelfOrParent, let status = try? inspect(folder, entries.name(at: entry.name)),
            let child = try? nodes.remember(
                status, parent: node, name: entries, at: entry.name, length: entry.nameLength)
        else { return length }
        putEntry(child, status, at: place)
        return length
    }
}

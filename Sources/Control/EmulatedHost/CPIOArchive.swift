/// An initial file system as the kernel unpacks it. Source: Linux, Documentation/driver-api/early-userspace/buffer-format.
struct CPIOArchive {
    private(set) var bytes: [UInt8] = []
    private var nextInode: UInt32 = 1

    mutating func addFolder(_ name: String) { add(name, mode: 0o040755, content: []) }

    mutating func addFile(_ name: String, mode: UInt32 = 0o644, content: [UInt8]) {
        add(name, mode: 0o100000 | mode, content: content)
    }

    mutating func addLink(_ name: String, to target: String) {
        add(name, mode: 0o120777, content: Array(target.utf8))
    }

    /// To be called last.
    mutating func finish() { add("TRAILER!!!", mode: 0, content: []) }

    /// "newc": a magic, thirteen numbers of eight hexadecimal digits, the name, the content; both padded to 4 bytes.
    private mutating func add(_ name: String, mode: UInt32, content: [UInt8]) {
        let nameBytes = Array(name.utf8) + [0]
        bytes.append(contentsOf: Array("070701".utf8))
        // Inode, mode, user, group, links, time, size, device (2), special device (2), name's length, checksum.
        let numbers: [UInt32] = [
            nextInode, mode, 0, 0, 1, 0, UInt32(content.count), 0, 0, 0, 0, UInt32(nameBytes.count), 0,
        ]
        for number in numbers {
            let digits = String(number, radix: 16)
            bytes.append(contentsOf: repeatElement(0x30, count: 8 - digits.utf8.count))
            bytes.append(contentsOf: digits.utf8)
        }
        nextInode += 1
        bytes.append(contentsOf: nameBytes)
        pad()
        bytes.append(contentsOf: content)
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}

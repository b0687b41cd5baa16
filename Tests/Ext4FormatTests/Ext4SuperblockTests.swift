import Ext4Format
import ImageFixtures
import Testing

@Suite struct Ext4SuperblockTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func superblock() throws -> Ext4Superblock? {
        let disk = try readFile(scratch.appending("disk"))
        let start = Int(Ext4Superblock.offset)
        return Ext4Superblock(Array(disk[start..<(start + Ext4Superblock.byteCount)]))
    }

    @Test(.enabled(if: hasTool("mke2fs") && hasTool("debugfs"), "e2fsprogs is not installed"))
    func `what e2fsprogs says of a file system is read`() throws {
        try shell("truncate -s 8M disk; mke2fs -q -F -t ext4 disk", in: scratch.path)
        let clean = try #require(try superblock())
        #expect(!clean.hasErrors && !clean.needsRecovery)
        try shell("debugfs -w -R 'ssv state 2' disk 2> /dev/null", in: scratch.path)
        #expect(try #require(try superblock()).hasErrors)
        try shell("debugfs -w -R 'feature needs_recovery' disk 2> /dev/null", in: scratch.path)
        #expect(try #require(try superblock()).needsRecovery)
    }

    @Test func `what is no superblock, or not a whole one, is none`() {
        #expect(Ext4Superblock([]) == nil)
        #expect(Ext4Superblock([UInt8](repeating: 0, count: 1024)) == nil)
        var bytes = [UInt8](repeating: 0xff, count: 1024)
        #expect(Ext4Superblock(bytes) == nil)
        (bytes[0x38], bytes[0x39]) = (0x53, 0xef)
        #expect(Ext4Superblock(bytes)?.needsRecovery == true)
        #expect(Ext4Superblock(Array(bytes.dropLast())) == nil)
    }
}

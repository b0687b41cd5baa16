import Foundation
import Testing

@testable import LinuxCalls

@Suite struct ByteRoomTests {
    /// The flags that the kernel has for the mapping of an address. Source: proc_pid_smaps(5).
    private func flags(at address: Int) throws -> [Substring] {
        let file = try LinuxCalls.open("/proc/self/smaps", .readOnly)
        var bytes: [UInt8] = []
        while try read(file.number, appendingTo: &bytes, maximumBytes: 1 << 16) > 0 {}
        var isHere = false
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { Int($0, radix: 16) }
            if ends.count == 2 { isHere = (ends[0]..<ends[1]).contains(address) }
            if isHere, words[0] == "VmFlags:" { return Array(words.dropFirst()) }
        }
        return []
    }

    @Test func `a byte that is touched costs a page, and no huge page`() throws {
        let room = try ByteRoom(capacity: 16 << 20)
        room.store(UInt8(1), at: 5 << 20)
        let flags = try flags(at: room.address(5 << 20, 1))
        #expect(flags.contains("rd"))
        // A kernel that has no huge pages has no such flag.
        if FileManager.default.fileExists(atPath: "/sys/kernel/mm/transparent_hugepage/enabled") {
            #expect(flags.contains("nh"))
        }
        // Until here it is there.
        #expect(room.load(UInt8.self, at: 5 << 20) == 1)
    }
}

import Testing

@testable import Fleet

@Suite struct MachineMemoryTests {
    @Test func `the guest's memory is told from the monitor's own`() throws {
        let smaps = """
            00400000-00470000 r-xp 00000000 fe:00 123    /libexec/swiftlet-vmm
            Size:                448 kB
            Rss:                 300 kB
            7f0000000000-7f0003000000 rw-s 00000000 00:01 5    /memfd:guest-memory (deleted)
            Rss:               20000 kB
            VmFlags: rd wr sh
            7f0003000000-7f0003100000 rw-p 00000000 fe:00 124    /kernels/vmlinux
            Rss:                1000 kB
            7f0003100000-7f0003101000 rw-s 03100000 00:01 5    /memfd:guest-memory (deleted)
            Rss:                   4 kB
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0    [stack]
            Rss:                  12 kB
            """
        let found = try #require(MachineRemote.residentBytes(smaps))
        #expect(found.guest == 21004 << 10 && found.own == 312 << 10)
        #expect(MachineRemote.residentBytes("") == nil)
    }

    @Test(arguments: [
        ("rw-p 00000000 00:2a 77    /home/machines/abc/origin.memory", ""),
        ("rw-p 00000000 00:2a 77    /machines/abc/suspended.memory (deleted)", ""),
        ("rw-p 00000000 00:00 0 ", "VmFlags: rd wr um"),
    ])
    func `a restored guest's memory is what it goes on from`(name: String, flags: String) throws {
        let smaps = """
            00400000-00470000 r-xp 00000000 fe:00 123    /libexec/swiftlet-vmm
            Rss:                 300 kB
            VmFlags: rd ex
            7f0000000000-7f0003000000 \(name)
            Rss:               20000 kB
            \(flags)
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0    [stack]
            Rss:                  12 kB
            """
        let found = try #require(MachineRemote.residentBytes(smaps))
        #expect(found.guest == 20000 << 10 && found.own == 312 << 10)
    }
}

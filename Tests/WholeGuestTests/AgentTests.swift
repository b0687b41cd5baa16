import AgentProtocol
import Testing

/// What the agent makes of a guest, seen from a program in it and from the disks afterwards.
extension WholeGuestTests {
    @Suite struct AgentTests {
        private let scratch: ScratchFiles

        init() throws { scratch = try ScratchFiles() }

        private func makeDisk(_ name: String) throws -> String {
            let path = scratch.path(name)
            try shellHere("truncate -s 48M \(path) && mkfs.ext4 -q -L \(name) \(path)")
            return path
        }

        /// Nothing is left for a journal to repair, and all of it is right.
        private func expectClean(_ disk: String) throws {
            let header = try shellHere("dumpe2fs -h \(disk) 2>&1")
            #expect(header.contains("Filesystem state:         clean"))
            #expect(!header.contains("needs_recovery"), "it was not unmounted")
            try shellHere("e2fsck -f -n \(disk) 2>&1")
        }

        @Test(arguments: ["swiftlet", "debian-cloud"])
        func `what is written to a root above a scratch disk is there at the next start, and the disk is clean`(
            kernel: String
        ) throws {
            let disk = try makeDisk("scratch")
            var plan = GuestPlan(kernel: kernel)
            plan.drives = [.init(path: disk)]
            plan.configuration.root = RootFileSystem(
                source: "/dev/vda", fileSystem: "erofs", overlay: .disk(device: "/dev/vdb", fileSystem: "ext4"))
            do {
                let guest = try TestGuest(plan)
                try guest.shell("echo kept > /etc/kept; rm /etc/shells; echo changed >> /etc/group")
                #expect(try guest.powerOff() == "exit status 0")
            }
            try expectClean(disk)
            let guest = try TestGuest(plan)
            #expect(
                try guest.shell("cat /etc/kept; tail -n 1 /etc/group; ls /etc/shells 2>&1 || true") == """
                    kept
                    changed
                    ls: /etc/shells: No such file or directory
                    """)
            #expect(try guest.powerOff() == "exit status 0")
            try expectClean(disk)
        }

        @Test(arguments: ["swiftlet", "debian-cloud"])
        func `mounts, names and the clock are what the configuration says`(kernel: String) throws {
            let data = try makeDisk("data")
            var plan = GuestPlan(kernel: kernel)
            plan.drives = [.init(path: data)]
            plan.configuration.hostName = "box"
            // 2001-02-03 04:05:06
            plan.configuration.realTimeNanoseconds = 981_173_106_000_000_000
            plan.configuration.nameServers = [IPAddress(v4: 192, 0, 2, 53)]
            plan.configuration.searchDomains = ["example.net"]
            plan.configuration.hostEntries = [HostEntry(IPAddress(v4: 192, 0, 2, 7), "seven")]
            plan.configuration.mounts = [
                Mount(source: "/dev/vdb", target: "/data", fileSystem: "ext4", flags: [.noSetUserID, .noDevices]),
                Mount(
                    source: "none", target: "/small", fileSystem: "tmpfs", options: "size=64k", flags: .noExecution),
                Mount(source: "/etc", target: "/settings", fileSystem: "", flags: [.bind, .readOnly]),
            ]
            let guest = try TestGuest(plan)
            #expect(
                try guest.shell("hostname; cat /etc/hostname; date -u +%Y-%m-%dT%H:%M") == """
                    box
                    box
                    2001-02-03T04:05
                    """)
            #expect(
                try guest.shell("cat /etc/resolv.conf; tail -n 2 /etc/hosts") == """
                    nameserver 192.0.2.53
                    search example.net
                    127.0.1.1\tbox
                    192.0.2.7\tseven
                    """)
            #expect(
                try guest.shell("grep -E ' /(data|small) ' /proc/mounts | cut -d ' ' -f 1-4 | cut -d , -f 1-4") == """
                    /dev/vdb /data ext4 rw,nosuid,nodev,relatime
                    none /small tmpfs rw,noexec,relatime,size=64k
                    """)
            #expect(
                try guest.shell(
                    "echo here > /data/file; head -c 100000 /dev/zero 2> /dev/null > /small/x || wc -c < /small/x; "
                        + "cat /settings/hostname; touch /settings/x 2> /dev/null || echo refused")
                    == "65536\nbox\nrefused")
            #expect(try guest.powerOff() == "exit status 0")
            try expectClean(data)
            #expect(try shellHere("debugfs -R 'cat /file' \(data) 2> /dev/null") == "here\n")
        }

        @Test func `a program in the guest cannot call the agent in the host's place`() throws {
            let guest = try TestGuest(GuestPlan(kernel: "debian-cloud"))
            for file in ["vsock-call", "vsock_loopback.ko"] {
                try guest.copy("\(Lab.partsFolder)/\(file)", to: "/tmp/")
            }
            let opening = try scratch.write("opening", String(decoding: Opening(.control).encoded(), as: UTF8.self))
            try guest.copy(opening, to: "/tmp/")
            // With the module vsock reaches the machine's own ports; somebody listens there who would answer with a greeting.
            #expect(
                try guest.shell(
                    """
                    insmod /tmp/vsock_loopback.ko
                    for context in 1 3; do /tmp/vsock-call $context 1024 < /tmp/opening | wc -c; done
                    """) == "0\n0")
            #expect(try guest.shell("echo alive") == "alive")
            #expect(try guest.powerOff() == "exit status 0")
        }

        @Test func `a disk that a program mounted itself is unmounted too when the guest is powered off`() throws {
            let disk = try makeDisk("own")
            var plan = GuestPlan()
            plan.drives = [.init(path: disk)]
            let guest = try TestGuest(plan)
            try guest.shell("mkdir /tmp/own; mount -t ext4 /dev/vdb /tmp/own; echo here > /tmp/own/file")
            #expect(try guest.powerOff() == "exit status 0")
            try expectClean(disk)
            #expect(try shellHere("debugfs -R 'cat /file' \(disk) 2> /dev/null") == "here\n")
        }
    }
}

import AgentProtocol
import Testing

/// Every device at real work.
extension WholeGuestTests {
    @Suite struct DeviceTests {
        struct Kind: CustomTestStringConvertible {
            let kernel: String
            let processors: Int
            var testDescription: String { "\(kernel), \(processors) processors" }
        }

        /// Several processors; and, when everything is asked for, one, and the other kernel.
        static let guests =
            [Kind(kernel: "swiftlet", processors: 4)]
            + (Lab.isEverythingAskedFor
                ? [Kind(kernel: "swiftlet", processors: 1), Kind(kernel: "debian-cloud", processors: 2)] : [])

        /// A folder where the monitor runs, in memory, where files can have holes.
        private let folder = "/run/swiftlet-test-\(UInt32.random(in: 0...(.max)))"

        init() throws { try Lab.onHost("mkdir -p \(folder)") }

        private func removeFolder() { _ = try? Lab.onHost("rm -rf \(folder)") }

        @Test(arguments: DeviceTests.guests)
        func `a disk keeps what is written, gives back what is discarded, and has zeroes where they were asked for`(
            _ kind: Kind
        ) throws {
            defer { removeFolder() }
            let disk = folder + "/disk"
            try Lab.onHost("head -c 16777216 /dev/urandom > \(disk)")
            var plan = GuestPlan(kind)
            plan.drives = [.init(path: disk)]
            let guest = try TestGuest(plan)
            try guest.copy(Lab.partsFolder + "/zero-range", to: "/tmp/")
            let before = try Lab.onHost("sha256sum < \(disk)")
            #expect(try guest.shell("sha256sum < /dev/vdb") + "\n" == before)
            #expect(
                try guest.shell("cat /sys/block/vdb/queue/write_cache /sys/block/vdb/serial") == "write back\ndisk0")
            // 8 to 12 MiB are written and flushed, 0 to 4 discarded, 4 to 5 zeroed; each is seen by the guest and the host.
            let written = try guest.shell(
                """
                head -c 4194304 /dev/urandom > /tmp/new
                dd if=/tmp/new of=/dev/vdb bs=64k seek=128 conv=notrunc,fsync 2> /dev/null
                sha256sum < /tmp/new
                blkdiscard -o 0 -l 4194304 /dev/vdb
                /tmp/zero-range /dev/vdb 4194304 1048576
                """)
            func sums(_ file: String) -> String {
                "for s in 8,4 0,5; do dd if=\(file) bs=1M skip=${s%,*} count=${s#*,} 2> /dev/null | sha256sum; done"
            }
            let zeroes = try shellHere("head -c 5242880 /dev/zero | sha256sum")
            let inGuest = try guest.shell("echo 3 > /proc/sys/vm/drop_caches\n" + sums("/dev/vdb"))
            #expect(inGuest + "\n" == written + "\n" + zeroes)
            #expect(try Lab.onHost(sums(disk)) == inGuest + "\n")
            // Of 16 MiB, 4 are a hole now.
            let blocks = try #require(Int(try Lab.onHost("stat -c %b \(disk)").dropLast()))
            #expect(blocks * 512 <= 12 << 20)
            #expect(try guest.powerOff() == "exit status 0")
        }

        @Test(arguments: DeviceTests.guests)
        func `megabytes cross a TAP device both ways, unchanged, in frames larger than its MTU`(_ kind: Kind) throws {
            let tap = "swt\(UInt16.random(in: 0...(.max)))"
            try Lab.onHost(
                """
                busybox tunctl -t \(tap) > /dev/null
                busybox ifconfig \(tap) 10.77.0.1 netmask 255.255.255.0 up
                head -c 8388608 /dev/urandom > \(folder)/down
                busybox httpd -f -p 10.77.0.1:8077 -h \(folder) > /dev/null 2>&1 &
                echo $! > \(folder)/server
                """)
            defer {
                _ = try? Lab.onHost("kill $(cat \(folder)/server); busybox tunctl -d \(tap)")
                removeFolder()
            }
            var plan = GuestPlan(kind)
            plan.tap = tap
            plan.configuration.interfaces = [
                Interface(
                    name: "eth0", maximumTransmissionUnit: 1400,
                    addresses: [.init(IPAddress(v4: 10, 77, 0, 2), prefixLength: 24)],
                    routes: [.init(to: IPAddress(v4: 0, 0, 0, 0), prefixLength: 0, via: IPAddress(v4: 10, 77, 0, 1))])
            ]
            let guest = try TestGuest(plan)
            #expect(
                try guest.shell("ip -o addr show eth0 | grep -o 'inet [^ ]*'; ip route; cat /sys/class/net/eth0/mtu")
                    == """
                    inet 10.77.0.2/24
                    default via 10.77.0.1 dev eth0 
                    10.77.0.0/24 dev eth0 scope link  src 10.77.0.2 
                    1400
                    """)
            let down = try guest.shell("wget -q -O - http://10.77.0.1:8077/down | sha256sum")
            #expect(down + "\n" == (try Lab.onHost("sha256sum < \(folder)/down")))
            let up = try guest.shell(
                "head -c 8388608 /dev/urandom > /tmp/up; sha256sum < /tmp/up; httpd -p 8078 -h /tmp")
            #expect(try Lab.onHost("busybox wget -q -O - http://10.77.0.2:8078/up | sha256sum") == up + "\n")
            // Without segmentation 8 MiB are 6,200 frames of 1,400 bytes, and the acknowledgements of the other 8 MiB come on top.
            // How many it becomes with it depends on how busy both ends are.
            for direction in ["rx", "tx"] {
                let frames = Int(try guest.shell("cat /sys/class/net/eth0/statistics/\(direction)_packets"))
                #expect(try #require(frames) < 6_000)
            }
            #expect(try guest.powerOff() == "exit status 0")
        }

        @Test(arguments: DeviceTests.guests)
        func `files cross the vsock both ways unchanged, and the entropy device never repeats itself`(_ kind: Kind)
            throws
        {
            defer { removeFolder() }
            let guest = try TestGuest(GuestPlan(kind))
            try guest.copy(Lab.partsFolder + "/vmlinuz", to: "/tmp/")
            let sum = try shellHere("sha256sum < \(Lab.partsFolder)/vmlinuz")
            #expect(try guest.shell("sha256sum < /tmp/vmlinuz") + "\n" == sum)
            let back = try guest.shell("base64 /tmp/vmlinuz")
            let scratch = try ScratchFiles()
            #expect(try shellHere("base64 -d \(try scratch.write("back", back)) | sha256sum") == sum)
            #expect(try guest.shell("cat /sys/class/misc/hw_random/rng_current") == "virtio_rng.0")
            #expect(
                try guest.shell(
                    "for i in 1 2 3 4; do dd if=/dev/hwrng bs=4k count=16 iflag=fullblock 2> /dev/null | sha256sum; done "
                        + "| sort -u | wc -l") == "4")
            #expect(try guest.powerOff() == "exit status 0")
        }

        @Test(arguments: DeviceTests.guests)
        func `the balloon takes memory, gives it back to a guest in need, and asks for figures every second`(
            _ kind: Kind
        ) throws {
            defer { removeFolder() }
            var plan = GuestPlan(kind)
            plan.balloon = #"{"amount_mib":96,"deflate_on_oom":true,"stats_polling_interval_s":1}"#
            let guest = try TestGuest(plan)
            func mebibytes(_ field: String) throws -> Int {
                Int(try guest.shell("sed -n 's/^\(field): *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")).map { $0 >> 10 }
                    ?? -1
            }
            // The guest gives pages one list after the other.
            try guest.soon { try guest.shell("sed -n 's/^balloon_inflate //p' /proc/vmstat") == "24576" }
            let available = try mebibytes("MemAvailable")
            #expect(available <= 100)
            let interrupts =
                "grep virtio3 /proc/interrupts | awk -v n=$(nproc) '{ for (i = 2; i < 2 + n; i++) s += $i; print s }'"
            let asked = try #require(Int(try guest.shell(interrupts)))
            func answered() throws -> Int { try #require(Int(try guest.shell(interrupts))) }
            try guest.soon { try answered() >= asked + 2 }
            #expect(try answered() >= asked + 2)
            // A little more than is left without the balloon's pages, and not to be had by dropping caches. (Emulated, the
            // distribution's kernel takes more than two minutes for it.)
            if plan.kernel == "swiftlet" {
                try guest.shell(
                    "mount -t tmpfs -o size=100% none /mnt; head -c \(available + 4)m /dev/zero > /mnt/x; rm /mnt/x")
            }
            // The driver gives back all that it holds when it is taken from the device.
            try guest.shell("echo virtio3 > /sys/bus/virtio/drivers/virtio_balloon/unbind")
            #expect(try mebibytes("MemAvailable") > available + 80)
            #expect(try guest.powerOff() == "exit status 0")
        }

        @Test(arguments: DeviceTests.guests)
        func `what a guest frees is the host's again`(_ kind: Kind) throws {
            defer { removeFolder() }
            let guest = try TestGuest(GuestPlan(kind))
            let process = try guest.processIdentifier()
            func resident() throws -> Int {
                let text = try Lab.onHost(
                    "sed -n 's/^RssShmem:[[:space:]]*\\([0-9]*\\) kB/\\1/p' /proc/\(process)/status")
                return (Int(text.dropLast()) ?? 0) >> 10
            }
            try guest.shell(
                "mkdir -p /tmp/m; mount -t tmpfs -o size=100% none /tmp/m; head -c 80m /dev/zero > /tmp/m/x")
            let full = try resident()
            try guest.shell("rm /tmp/m/x")
            // Reports are made two seconds after pages were freed.
            try guest.soon { try resident() <= full - 60 }
            #expect(try resident() <= full - 60)
            #expect(try guest.powerOff() == "exit status 0")
        }
    }
}

extension GuestPlan {
    fileprivate init(_ kind: WholeGuestTests.DeviceTests.Kind) {
        self.init(kernel: kind.kernel, processors: kind.processors)
    }
}

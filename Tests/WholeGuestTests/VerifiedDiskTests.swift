import AgentClient
import AgentProtocol
import Archives
import GuestKernels
import HostFiles
import LinuxCalls
import Testing

@testable import Fleet

/// A disk that is checked while it is read: what is damaged is an error in the guest and known to the host, and nothing else.
extension WholeGuestTests {
    @Suite struct VerifiedDiskTests {
        private let disk: VerifiedDisk

        init() throws { disk = try VerifiedDisk() }

        /// Reads blocks of the payload; an error is told as such, and everything else compared with what was put in.
        private func readsPayload(_ guest: TestGuest, blocks: Range<Int>) throws -> String {
            let command =
                "dd bs=4096 skip=\(blocks.lowerBound) count=\(blocks.count) 2> /tmp/error < /payload | sha256sum; cat /tmp/error"
            let said = try guest.shell(command)
            if said.contains("Input/output error") || said.contains("I/O error") { return "error" }
            let wanted = try shellHere(
                "dd bs=4096 skip=\(blocks.lowerBound) count=\(blocks.count) status=none < \(disk.scratch.path("tree/payload")) | sha256sum"
            )
            return said.hasPrefix(wanted.dropLast()) ? "right" : "wrong"
        }

        /// What a guest that cannot mount its root says.
        private func refusal(_ plan: GuestPlan) -> TestGuest.Failed? {
            do {
                _ = try TestGuest(plan)
                return nil
            } catch {
                return error as? TestGuest.Failed
            }
        }

        @Test(arguments: ["swiftlet", "debian-cloud"])
        func `a disk of segments with its tree boots, and all of it is read`(kernel: String) throws {
            let guest = try TestGuest(disk.plan(kernel: kernel))
            #expect(try guest.shell("grep -o 'dm-0' /proc/partitions") == "dm-0")
            #expect(try readsPayload(guest, blocks: 0..<VerifiedDisk.payloadBlocks) == "right")
            #expect(try guest.shell("ls /many | wc -l") == "401")
            // Every block, as the kernel checks it.
            try guest.shell("cat /dev/dm-0 > /dev/null; echo written > /etc/above")
            #expect(guest.damage == [])
            #expect(try guest.powerOff() == "exit status 0")
        }

        @Test(arguments: Lab.representativeKernels)
        func `a flipped bit in a file is an error where it is, and told`(kernel: String) throws {
            try disk.flip(block: disk.payload.lowerBound + 200)
            let guest = try TestGuest(disk.plan(kernel: kernel))
            #expect(guest.damage == [])
            #expect(try readsPayload(guest, blocks: 0..<100) == "right")
            #expect(try readsPayload(guest, blocks: 200..<201) == "error")
            // With the command's end it is known here.
            #expect(Set(guest.damage.map(\.block)) == [UInt64(disk.payload.lowerBound) + 200])
            #expect(guest.damage.allSatisfy { $0.part == .data })
            #expect(try readsPayload(guest, blocks: 300..<400) == "right")
            #expect(try guest.shell("sha256sum /payload > /tmp/sum 2>&1 || cat /tmp/sum").contains("rror"))
        }

        @Test(arguments: Lab.representativeKernels)
        func `a flipped bit in a folder is an error where it is, and told`(kernel: String) throws {
            try disk.flip(block: disk.folderBlock)
            let guest = try TestGuest(disk.plan(kernel: kernel))
            #expect(try guest.shell("ls /many > /tmp/list 2>&1 || true; wc -l < /tmp/list") != "401")
            #expect(Set(guest.damage.map(\.block)) == [UInt64(disk.folderBlock)])
            #expect(try readsPayload(guest, blocks: 0..<10) == "right")
        }

        @Test(arguments: Lab.representativeKernels)
        func `a flipped bit in the tree is an error for what it vouches for, and told`(kernel: String) throws {
            let block = disk.payloadTreeBlock
            try disk.flip(block: block)
            let guest = try TestGuest(disk.plan(kernel: kernel))
            let first = (block - disk.dataBlocks - 1) * 128 - disk.payload.lowerBound
            #expect(try readsPayload(guest, blocks: first..<first + 1) == "error")
            #expect(try readsPayload(guest, blocks: first + 127..<first + 128) == "error")
            #expect(try readsPayload(guest, blocks: first + 128..<first + 140) == "right")
            #expect(Set(guest.damage) == [DiskDamage(.hashTree, block: UInt64(block))])
        }

        @Test(arguments: Lab.representativeKernels)
        func `a superblock with a flipped bit, and another root hash, refuse the mount with the reason`(
            kernel: String
        ) throws {
            var wrong = disk.rootHash
            wrong[31] ^= 1
            let refused = try #require(refusal(disk.plan(kernel: kernel, rootHash: wrong)))
            #expect(refused.text.contains("mount of /dev/dm-0 (erofs)"))
            #expect(refused.damage.first == DiskDamage(.hashTree, block: UInt64(disk.dataBlocks)))
            try disk.flip(block: 0)
            let damaged = try #require(refusal(disk.plan(kernel: kernel)))
            #expect(damaged.text.contains("mount of /dev/dm-0 (erofs)"))
            #expect(damaged.damage.first == DiskDamage(.data, block: 0))
        }

        @Test(arguments: Lab.representativeKernels)
        func `segments that are missing, cut off or in another order do not boot`(kernel: String) throws {
            var plan = disk.plan(kernel: kernel)
            plan.rootSegments.removeLast()
            #expect(refusal(plan)?.text.contains("dm-verity of /dev/vda") == true)
            plan = disk.plan(kernel: kernel)
            plan.rootSegments.swapAt(0, 1)
            #expect(refusal(plan)?.damage.isEmpty == false)
            let tree = try HostFile(HostPath(disk.segments[3]), .readWrite)
            try tree.truncate(to: 4096)
            #expect(refusal(disk.plan(kernel: kernel))?.text.contains("dm-verity of /dev/vda") == true)
            try tree.truncate(to: 4095)
            #expect(
                refusal(disk.plan(kernel: kernel))?.text.contains("the monitor ended before the guest answered") == true
            )
        }

        @Test(arguments: Lab.representativeKernels)
        func `a segment that is cut off in use is an error where it is gone, and the monitor says which`(
            kernel: String
        ) throws {
            let guest = try TestGuest(disk.plan(kernel: kernel))
            try HostFile(HostPath(disk.segments[1]), .readWrite).truncate(to: 100 * 4096)
            try guest.shell("echo 3 > /proc/sys/vm/drop_caches")
            #expect(try readsPayload(guest, blocks: 350..<390) == "error")
            #expect(try readsPayload(guest, blocks: 0..<3) == "right")
            try guest.soon { !guest.diskFailures.isEmpty }
            let failure = try #require(guest.diskFailures.first)
            #expect(failure.isOfImage && failure.reason.hasPrefix("segment 1 \"\(disk.segments[1])\": "))
            #expect(failure.byte >= UInt64(disk.payload.lowerBound) * 4096 && guest.diskFailures.count == 1)
            #expect(guest.damage == [])
        }

        @Test func `whoever runs a machine is told of damage and of what is gone, and it is on record`() throws {
            let block = disk.payload.lowerBound + 2
            try disk.flip(block: block)
            let cut = try HostFile(HostPath(disk.segments[1]), .readWrite)
            let input = try PipePair()
            let kernel = try Lab.kernels.resolve("swiftlet")
            var specification = MachineSpecification()
            specification.image = "damaged"
            specification.kernelPath = kernel.path
            specification.kernelArguments = kernel.arguments
            specification.imageDiskPaths = disk.segments
            specification.imageVerity = ImageVerity(
                dataBlocks: UInt64(disk.dataBlocks), rootHash: try #require(SHA256Digest(bytes: disk.rootHash)))
            specification.isInteractive = true
            specification.command = [
                "/bin/sh", "-c",
                "read line; head -c 16384 /payload > /dev/null; dd bs=4096 skip=350 < /payload > /dev/null",
            ]
            let fleet = MachineFleet(Lab.paths)
            let machine = try fleet.create(specification, name: nil)
            defer { machine.store.removeFolder(machine.record) }
            let owner = try fleet.owner(of: machine, signals: nil, output: CollectedOutput()) { print($0) }
            var told: [String] = []
            owner.whenDamaged = { told.append($0) }
            owner.input = input.reading.number
            owner.whenStarted = {
                #expect(throws: Never.self) { try cut.truncate(to: 100 * 4096) }
                #expect(throws: Never.self) { try writeWhole([0x0a].span, to: input.writing.number) }
            }
            #expect(try owner.run().exitStatus == 1)
            #expect(told.count == 2)
            #expect(told.contains { $0.hasPrefix("the disk of the image \"damaged\" is damaged at block \(block); ") })
            #expect(told.contains { $0.hasPrefix("the disk of the image \"damaged\" cannot be read at byte ") })
            let record = try #require(MachineRecord.read(from: machine.folder))
            let failure = try #require(record.diskFailures?.first)
            #expect(failure.drive == "root" && failure.reason.contains(disk.segments[1]))
            #expect(record.diskFailures?.count == 1)
            #expect(record.imageDamage?.block == UInt64(block) && record.imageDamage?.isInHashTree == false)
        }
    }
}

import MachineConfiguration
import Testing

@testable import Fleet

@Suite struct GrowingMemoryTests {
    private func specification(_ mebibytes: Int = 256, to maximum: Int? = 1024) -> MachineSpecification {
        var specification = MachineSpecification()
        specification.kernelPath = "/k"
        specification.imageDiskPaths = ["/d"]
        specification.command = ["true"]
        specification.memoryMebibytes = mebibytes
        specification.memoryMaximumMebibytes = maximum
        return specification
    }

    private func limits(_ mebibytes: Int?) -> MachineLimits {
        var limits = MachineLimits()
        limits.memoryMebibytes = mebibytes
        return limits
    }

    private func configuration(_ specification: MachineSpecification) throws -> VirtualMachineConfiguration {
        try VirtualMachineConfiguration.parse(
            Array(MonitorConfiguration(specification: specification, initrdPaths: [], socketPath: "/s").json.utf8))
    }

    @Test func `the monitor gets a device that is large enough, and the guest's kernel words for it`() throws {
        for (maximum, total) in [(1024, 768), (258, 128), (384, 128), (386, 256)] {
            #expect(try configuration(specification(to: maximum)).pluggableMemory?.totalMebibytes == UInt64(total))
        }
        #expect(try configuration(specification()).bootSource.bootArguments.contains("auto-movable"))
        let without = try configuration(specification(to: nil))
        #expect(without.pluggableMemory == nil && !without.bootSource.bootArguments.contains("memhp"))
    }

    @Test func `how far a machine can grow is checked when it is made`() {
        for (mebibytes, maximum, isGood) in [
            (256, 1024, true), (256, 4096, true), (256, 4098, false), (256, 256, false), (256, 128, false),
            (256, -1, false), (400_000, 520_192, true), (400_000, 524_288, false), (256, .max, false),
        ] {
            #expect(((try? specification(mebibytes, to: maximum).check()) != nil) == isGood, "\(maximum)")
        }
    }

    @Test func `it can be given what it was made for, and others are told how to be`() throws {
        for (mebibytes, isGood) in [(31, false), (32, true), (256, true), (1024, true), (1026, false), (.max, false)] {
            #expect(((try? limits(mebibytes).check(specification())) != nil) == isGood)
        }
        #expect { try limits(512).check(specification(to: nil)) } throws: { "\($0)".contains("run --memory-max") }
        #expect { try limits(2048).check(specification()) } throws: { "\($0)".contains("update --memory-max") }
    }

    @Test func `it gets whole blocks beyond what it begins with`() {
        let specification = specification(255, to: 1025)
        for (mebibytes, whole) in [(32, 32), (255, 255), (256, 257), (257, 257), (1024, 1025)] {
            #expect(specification.wholeMebibytes(mebibytes) == whole)
        }
    }

    @Test func `what a limit wants is plugged or in the balloon`() {
        for (wanted, plugged, balloon) in [(nil, 0, 0), (256, 0, 0), (768, 512, 0), (301, 46, 0), (100, 0, 156)] {
            #expect(
                GuestMemoryState(limits(wanted), specification())
                    == GuestMemoryState(plugged: plugged, balloon: balloon))
        }
        #expect(specification(to: nil).pluggedMebibytes(limits(768)) == 0)
    }

    private func asked(
        _ target: (Int, Int), asked: (Int, Int), now: (Int, Int), spare: Int?
    ) -> [String] {
        GuestMemoryState(plugged: target.0, balloon: target.1).requests(
            asked: GuestMemoryState(plugged: asked.0, balloon: asked.1),
            now: GuestMemoryState(plugged: now.0, balloon: now.1), spare: spare
        ).map { "\($0.resource) \($0.body.filter(\.isNumber))" }
    }

    @Test func `a guest that is to have more gets it at once`() {
        #expect(asked((512, 0), asked: (0, 0), now: (0, 0), spare: nil) == ["/hotplug/memory 512"])
        #expect(asked((512, 0), asked: (0, 64), now: (0, 64), spare: nil) == ["/balloon 0", "/hotplug/memory 512"])
        #expect(asked((512, 0), asked: (512, 0), now: (100, 0), spare: nil).isEmpty)
    }

    @Test func `only what can be spared is taken away`() {
        #expect(asked((0, 0), asked: (512, 0), now: (512, 0), spare: 600) == ["/hotplug/memory 0"])
        #expect(asked((0, 0), asked: (512, 0), now: (512, 0), spare: 101) == ["/hotplug/memory 412"])
        for spare in [nil, 0, 1, -5] { #expect(asked((0, 0), asked: (512, 0), now: (512, 0), spare: spare).isEmpty) }
        // Under way: it is left alone, unless its programs want memory meanwhile.
        #expect(asked((0, 0), asked: (412, 0), now: (450, 0), spare: 300).isEmpty)
        #expect(asked((0, 0), asked: (412, 0), now: (450, 0), spare: -1) == ["/hotplug/memory 450"])
        #expect(asked((0, 0), asked: (412, 0), now: (412, 0), spare: 50) == ["/hotplug/memory 362"])
        #expect(GuestMemoryState.spare(availableBytes: 512 << 20, totalBytes: 1024 << 20) == 432)
        #expect(GuestMemoryState.spare(availableBytes: .max, totalBytes: .max) > 0)
        #expect(GuestMemoryState.spare(availableBytes: 0, totalBytes: 256 << 20) == -32)
    }

    @Test func `the balloon is filled when nothing is plugged any more`() {
        #expect(asked((0, 64), asked: (512, 0), now: (512, 0), spare: 600) == ["/hotplug/memory 0"])
        #expect(asked((0, 64), asked: (0, 0), now: (2, 0), spare: 600).isEmpty)
        #expect(asked((0, 64), asked: (0, 0), now: (0, 0), spare: nil) == ["/balloon 64"])
        #expect(asked((0, 32), asked: (0, 64), now: (0, 64), spare: nil) == ["/balloon 32"])
    }

    @Test func `how far a guest has come is told, and what it has not done`() {
        let (begin, target) = (GuestMemoryState(plugged: 512, balloon: 0), GuestMemoryState(plugged: 0, balloon: 64))
        let middle = GuestMemoryState(plugged: 128, balloon: 0)
        #expect(target.progress(begin, from: begin) == (0, 576) && target.progress(target, from: begin) == (576, 576))
        #expect(target.progress(middle, from: begin) == (384, 576))
        #expect(target.outcome(middle) == .init(missingMebibytes: 64, keptMebibytes: 128, untakenMebibytes: 0))
        #expect(begin.outcome(middle) == .init(missingMebibytes: 0, keptMebibytes: 0, untakenMebibytes: 384))
        // What a monitor says that has been taken over.
        #expect(target.progress(.init(plugged: .max, balloon: .min), from: begin).done == 0)
    }

    @Test func `what is plugged counts as the guest's memory`() {
        let smaps = """
            7f0000000000-7f0010000000 rw-p 00000000 00:01 5 /memfd:guest (deleted)
            Rss:    100 kB
            7f0020000000-7f0050000000 rw-p 00000000 00:00 0
            Rss:    50 kB
            7f0060000000-7f0060001000 rw-p 00000000 00:00 0
            Rss:    4 kB
            """
        #expect(MachineRemote.residentBytes(smaps, pluggableBytes: 768 << 20)! == (150 << 10, 4 << 10))
        #expect(MachineRemote.residentBytes(smaps)! == (100 << 10, 54 << 10))
    }

    @Test func whatAMonitorSaysBeyondReasonIsNoTrap() {
        let wanted = GuestMemoryState(plugged: 0, balloon: 0)
        for number in [Int.min, -1, Int.max] {
            let said = GuestMemoryState(plugged: number, balloon: number)
            let progress = wanted.progress(said, from: said)
            #expect(progress.done == 0 && progress.all >= 0)
        }
    }
}

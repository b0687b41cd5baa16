import AgentClient
import Foundation
import HostFiles
import LinuxCalls
import Synchronization
import Testing

@testable import Fleet

/// Settings that a guest has kept by itself: who may, and how often.
@Suite final class ProposalTests {
    private let folder = NSTemporaryDirectory() + "proposals-\(UInt64.random(in: 0...UInt64.max))"

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    @Test func `a guest may ask for some at once, then for one after the other`() {
        var allowance = ProposalAllowance()
        let interval = ProposalAllowance.intervalNanoseconds
        var now: UInt64 = 1 << 40
        for _ in 0..<ProposalAllowance.atOnce { #expect(allowance.take(atNanoseconds: now) == 0) }
        #expect(allowance.take(atNanoseconds: now) == interval)
        now += interval - 1
        #expect(allowance.take(atNanoseconds: now) == 1)
        #expect(allowance.take(atNanoseconds: now + 1) == 0)
        #expect(allowance.take(atNanoseconds: now + 1) == interval)
        // However long it waits, no more than so many at once.
        now += 1000 * interval
        for _ in 0..<ProposalAllowance.atOnce { #expect(allowance.take(atNanoseconds: now) == 0) }
        #expect(allowance.take(atNanoseconds: now) == interval)
        // In a day of asking as fast as it can.
        let end = now + 86_400_000_000_000
        var taken = 0
        while now < end {
            let pause = allowance.take(atNanoseconds: now)
            if pause == 0 { taken += 1 }
            now += pause
        }
        #expect((2879...2880).contains(taken))
    }

    @Test func `however often it asks meanwhile, that is one request, and the end waits for nobody who waits`() throws {
        let count = Mutex(0)
        let begun = try SharedEvent()
        let go = try SharedEvent()
        let watch = try ProposalWatch {
            count.withLock { $0 += 1 }
            begun.signal()
            _ = waitUntilReadable(go.descriptor, until: Deadline(afterMilliseconds: 60_000))
        }
        watch.ask()
        #expect(waitUntilReadable(begun.descriptor, until: Deadline(afterMilliseconds: 60_000)))
        begun.drain()
        for _ in 0..<10_000 { watch.ask() }
        go.signal()
        #expect(waitUntilReadable(begun.descriptor, until: Deadline(afterMilliseconds: 60_000)))
        for _ in 0..<5 {
            watch.ask()
            LinuxCalls.sleep(nanoseconds: 20_000_000)
        }
        let before = Clock.monotonic.nanoseconds()
        watch.end()
        #expect(Clock.monotonic.nanoseconds() - before < 20_000_000_000)
        #expect((2...ProposalAllowance.atOnce).contains(UInt64(count.withLock { $0 })))
    }

    @Test func `a machine's program may if its maker or its owner says so, and for settings of its own`() throws {
        let store = MachineStore(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder))
        func code(_ record: MachineRecord) -> FleetError.Code? {
            do throws(FleetError) { try store.checkMayCommit(record) } catch { return error.code }
            return nil
        }
        func appliance(_ commits: Bool) -> MachineAppliance {
            MachineAppliance(
                name: "fw", version: "1", manifestDigest: "", descriptionDigest: "", apply: [],
                commitsSettings: commits)
        }
        var specification = MachineSpecification()
        specification.settingsName = "fw"
        let plain = try store.create(specification, name: "plain").record
        #expect(code(plain) == .commitRefused)
        specification.settingsCommit = .allow
        #expect(code(try store.create(specification, name: "allowed").record) == nil)
        specification.settingsCommit = nil
        specification.settingsName = "own"
        specification.appliance = appliance(false)
        #expect(code(try store.create(specification, name: "silent").record) == .commitRefused)
        specification.settingsName = "mine"
        specification.appliance = appliance(true)
        let maker = try store.create(specification, name: "maker").record
        #expect(code(maker) == nil)
        let sharing = try store.create(specification, name: "sharing").record
        #expect(code(maker) == .commitRefused && code(sharing) == .commitRefused)
        specification.settingsName = "other"
        specification.settingsCommit = .refuse
        #expect(code(try store.create(specification, name: "refused").record) == .commitRefused)
        // What an earlier version has written down says nothing.
        let old = try JSONDecoder().decode(
            MachineAppliance.self,
            from: Data(#"{"name":"fw","version":"1","manifestDigest":"","descriptionDigest":"","apply":[]}"#.utf8))
        #expect(!old.commitsSettings)
    }
}

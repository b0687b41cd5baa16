import Testing

@testable import Jailer

/// Which folders of control groups are used.
@Suite struct ControlGroupsTests {
    private static let mounts = Array(
        """
        tmpfs /sys/fs/cgroup tmpfs rw 0 0
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
        cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0

        """.utf8)

    private func groups(
        _ version: String, _ settings: String..., parent: String = "firecracker", mounts: [UInt8] = mounts
    ) throws(JailerFault) -> [ControlGroups.Group] {
        try ControlGroups(version: version, settings: settings, parent: parent, identifier: "a", mounts: mounts)?.groups
            ?? []
    }

    private func fault(_ version: String, _ settings: String, mounts: [UInt8] = mounts) -> String? {
        do throws(JailerFault) { _ = try groups(version, settings, mounts: mounts) } catch { return error.description }
        return nil
    }

    @Test func `controllers of one mount share a group`() throws {
        let found = try groups("1", "cpu.shares=10", "pids.max=5", "cpuacct.usage=0", parent: "x/y")
        #expect(found.count == 2)
        #expect(found[0].mount == Array("/sys/fs/cgroup/cpu,cpuacct".utf8))
        #expect(found[0].path == Array("x/y/a".utf8))
        #expect(found[0].settings.map(\.file) == ["cpu.shares", "cpuacct.usage"])
        #expect(found[1].settings.map(\.value) == ["5"])
        let unified = try groups("2", "memory.max=1000", "pids.max=5")
        #expect(unified.map(\.mount) == [Array("/sys/fs/cgroup/unified".utf8)])
        #expect(try groups("2").isEmpty)
    }

    @Test func `what is no setting is refused in the original's words`() {
        #expect(fault("1", "foo") == "Invalid format for cgroups: foo")
        #expect(fault("1", "foo=") == "Invalid format for cgroups: foo=")
        #expect(fault("1", "a/../b=1") == "Cgroup invalid file: a/../b=1")
        #expect(fault("1", "foobar=1") == "Cgroup invalid file: foobar")
        #expect(fault("1", "foo.bar=1") == "Controller foo is unavailable")
        #expect(fault("3", "x=1") == "Hierarchy not found: No hierarchy found for this cgroup version.")
        #expect(fault("2", "a.b=1", mounts: []) == "Hierarchy not found: No hierarchy found for this cgroup version.")
        #expect(fault("1", ".b=1") == "Cgroup invalid file: .b")
    }
}

import Foundation
import HostFiles
import Testing

@testable import Fleet

/// Control groups as they are found, with a folder in the place of the kernel's.
@Suite final class LocalControlGroupTests {
    private let folder = NSTemporaryDirectory() + "groups-\(UUID().uuidString)"
    private var top: String { folder + "/top" }

    init() throws {
        try FileManager.default.createDirectory(atPath: folder + "/top", withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func put(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
    }

    private func text(_ name: String) -> String? { try? String(contentsOfFile: folder + "/" + name, encoding: .utf8) }

    private func group(_ mounts: String, _ memberships: String) throws -> LocalControlGroup {
        try put(mounts, "mounts")
        try put(memberships, "memberships")
        return LocalControlGroup(name: "swiftlet-1", mounts: folder + "/mounts", memberships: folder + "/memberships")
    }

    private func unifiedMount(root: String = "/") -> String {
        "30 24 0:26 \(root) \(top) rw,nosuid - cgroup2 cgroup2 rw\n"
    }

    @Test func `groups are looked for at the top, then from the own one upwards`() throws {
        try put("cpuset cpu io\n", "top/cgroup.controllers")
        let found = try group(unifiedMount(), "0::/user.slice/one.scope\n").hierarchy()
        #expect(
            found
                == .init(mount: top, isUnified: true, bases: [top, top + "/user.slice/one.scope", top + "/user.slice"]))
    }

    @Test func `a container's own root is not looked for below itself`() throws {
        try put("cpu\n", "top/cgroup.controllers")
        #expect(try group(unifiedMount(root: "/docker/1"), "0::/docker/1/a\n").hierarchy()?.bases == [top, top + "/a"])
        #expect(try group(unifiedMount(), "0::/../outside\n").hierarchy()?.bases == [top])
    }

    @Test func `the version that has the processor's controller is taken`() throws {
        let legacy = "31 24 0:27 / \(folder)/old rw - cgroup cgroup rw,cpu,cpuacct\n"
        try put("io\n", "top/cgroup.controllers")
        #expect(
            try group(unifiedMount() + legacy, "3:cpu,cpuacct:/a\n0::/b\n").hierarchy()
                == .init(mount: folder + "/old", isUnified: false, bases: [folder + "/old", folder + "/old/a"]))
        #expect(try group(unifiedMount(), "0::/b\n").hierarchy() == nil)
        #expect(try group("", "").hierarchy() == nil)
        #expect(try group("garbage\n1 2 - x\n - \n", ":::\n").hierarchy() == nil)
    }

    @Test func `a group is found again where it was made, whoever looks for it`() throws {
        var limits = MachineLimits()
        limits.cpuShares = 2
        // Files that the kernel would make with the group.
        let made = top + "/elsewhere/swiftlet-1"
        try FileManager.default.createDirectory(atPath: made, withIntermediateDirectories: true)
        for file in ["cpu.max", "cpu.weight", "cgroup.procs"] { try put("", "top/elsewhere/swiftlet-1/" + file) }
        try put("cpu\n", "top/cgroup.controllers")
        try put("cpu\n", "top/elsewhere/cgroup.subtree_control")
        var group = try group(unifiedMount(), "0::/mine\n")
        group.known = made
        #expect(try group.apply(.init(limits), to: 7) == made)
        #expect(text("top/elsewhere/swiftlet-1/cpu.weight") == "1")
        #expect(text("top/elsewhere/swiftlet-1/cgroup.procs") == "7")
        for file in ["cpu.max", "cpu.weight", "cgroup.procs"] {
            try FileManager.default.removeItem(atPath: made + "/" + file)
        }
        #expect(group.remove())
        #expect(!FileManager.default.fileExists(atPath: made))
    }

    @Test func `who may make no group is told so`() throws {
        var limits = MachineLimits()
        limits.cpuThousandths = 500
        try put("cpu\n", "top/cgroup.controllers")
        // A file that is not there cannot be written to, as one that may not be.
        let group = try group(unifiedMount(), "0::/\n")
        #expect { try group.apply(.init(limits), to: 1) } throws: {
            ($0 as? FleetError)?.code == .noControlGroup && "\($0)".contains("Delegate")
        }
        #expect(!FileManager.default.fileExists(atPath: top + "/swiftlet-1"))
        #expect { try self.group("", "").apply(.init(limits), to: 1) } throws: {
            ($0 as? FleetError)?.code == .noControlGroup
        }
        #expect(group.remove())
    }
}

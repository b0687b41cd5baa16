import LinuxCalls
import Testing

@testable import Jailer

/// Command lines, and what Firecracker 1.12.1's jailer was found to say of them.
@Suite struct JailerInvocationTests {
    private func fault(_ arguments: String...) -> String? {
        do throws(JailerFault) {
            let invocation = try JailerInvocation(arguments[...])
            if invocation.errand == nil { _ = try JailerPlan(invocation) }
            return nil
        } catch { return error.description }
    }

    @Test func `what cannot be read is refused in the original's words`() {
        #expect(fault() == "Argument 'exec-file' required, but not found.")
        #expect(fault("--id", "a", "--exec-file", "x") == "Argument 'gid' required, but not found.")
        #expect(fault("--bogus") == "Found argument 'bogus' which wasn't expected, or isn't valid in this context.")
        #expect(fault("foo") == "Found argument 'foo' which wasn't expected, or isn't valid in this context.")
        #expect(fault("--id", "x", "--id", "y") == "The argument 'id' was provided more than once.")
        #expect(fault("--daemonize", "--daemonize") == "The argument 'daemonize' was provided more than once.")
        #expect(fault("--id") == "The argument 'id' requires a value, but none was supplied.")
        #expect(fault("--version", "--id") == nil)
        #expect(fault("--help", "x") == nil)
    }

    @Test func `everything behind two hyphens goes to the program`() throws {
        let invocation = try JailerInvocation([
            "--id", "a", "--exec-file", "b", "--uid", "1", "--gid", "2", "--cgroup", "a.b=c", "--cgroup", "d.e=f",
            "--new-pid-ns", "--", "--version", "--id", "z",
        ])
        #expect(invocation.rest == ["--version", "--id", "z"])
        #expect(invocation.errand == nil)
        #expect(invocation.groupSettings == ["a.b=c", "d.e=f"])
        #expect(invocation.hasProcessNamespace && !invocation.isDaemon)
    }

    @Test func `values are checked in the original's order and words`() throws {
        let folder = "/tmp/jailer-tests-\(Children.own)"
        try FileTree.makeDirectory(Array(folder.utf8))
        let program = folder + "/firecracker"
        _ = try open(program, [.writeOnly, .create])
        defer {
            try? FileTree.remove(Array(program.utf8))
            try? FileTree.remove(Array(folder.utf8), isDirectory: true)
        }
        func fault(
            id: String = "ok", program path: String? = nil, user: String = "5", group: String = "5",
            base: String? = nil, _ more: String...
        ) -> String? {
            do throws(JailerFault) {
                let base = ["--chroot-base-dir", base ?? folder, "--uid", user, "--gid", group]
                _ = try JailerPlan(
                    try JailerInvocation((["--id", id, "--exec-file", path ?? program] + base + more)[...]))
                return nil
            } catch { return error.description }
        }
        #expect(fault() == nil)
        #expect(fault(id: "") == "Invalid instance ID: Invalid len (0);  the length must be between 1 and 64")
        #expect(fault(id: "x/y", program: "/nowhere") == "Invalid instance ID: Invalid char (/) at position 1")
        #expect(
            fault(program: "/nowhere")
                == "Failed to canonicalize path /nowhere: No such file or directory (os error 2)")
        #expect(fault(program: "/tmp") == "/tmp is not a file")
        #expect(
            fault(program: "/proc/self/exe", base: "/nowhere")?.utf8.starts(
                with: "Invalid filename. The filename of `--exec-file` option must contain \"firecracker\"".utf8)
                == true)
        #expect(
            fault(user: "a", base: "/nowhere")
                == "Failed to canonicalize path /nowhere: No such file or directory (os error 2)")
        #expect(fault(user: "4294967296") == "Invalid uid: 4294967296")
        #expect(fault(group: "b") == "Invalid gid: b")
        for parent in ["/absolute", "a/../..", "./a", "a//b"] {
            #expect(
                fault("--parent-cgroup", parent)
                    == "Parent cgroup path is invalid. Path should not be absolute or contain '..' or '.'")
        }
        #expect(fault("--resource-limit", "x") == "Invalid format for resources limits: x")
        #expect(fault("--resource-limit", "x=1") == "Invalid resource argument: x")
        #expect(
            fault("--resource-limit", "fsize=a")
                == "Invalid limit value for resource: a: invalid digit found in string")
        #expect(
            fault("--resource-limit", "no-file=")
                == "Invalid limit value for resource: : cannot parse integer from empty string")
        #expect(fault("--cgroup-version", "3") == nil, "without settings no version is asked for")
    }
}

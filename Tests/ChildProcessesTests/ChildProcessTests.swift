import ChildProcesses
import LinuxCalls
import Testing

@Suite struct ChildProcessTests {
    func output(
        _ script: String, _ change: (inout ChildProcess.Settings) -> Void = { _ in }
    ) throws -> ChildProcess.Output {
        var settings = ChildProcess.Settings(["sh", "-c", script])
        change(&settings)
        return try ChildProcess.output(of: settings)
    }

    @Test func bothOutputsComeBackInOrder() throws {
        let output = try output("echo one; echo two >&2; exit 3")
        #expect(output.text == "one\ntwo\n")
        #expect(output.ending == .exited(3))
    }

    @Test func aSignalIsTold() throws {
        #expect(try output("kill -9 $$").ending == .signalled(9))
        #expect(try output("kill -9 $$").ending.shellStatus == 137)
    }

    @Test func anUnknownProgramIsAnError() {
        #expect(throws: LinuxError(2)) { try ChildProcess(.init(["no-such-program-anywhere"])) }
    }

    @Test func environmentAndFolderAreTheGivenOnes() throws {
        let output = try output("echo $SWIFTLET_TEST; pwd") {
            $0.environment = ["PATH=/usr/bin:/bin", "SWIFTLET_TEST=here"]
            $0.workingDirectory = "/usr"
        }
        #expect(output.text == "here\n/usr\n")
    }

    @Test func onlyTheNamedDescriptorsReachTheChild() throws {
        let null = try open("/dev/null", .readWrite)
        let output = try output("ls -l /proc/self/fd | grep -c null; [ -e /proc/self/fd/7 ] && echo seven") {
            $0.descriptors[7] = null.number
        }
        // Standard input and 7; standard output and error are the pipe.
        #expect(output.text == "2\nseven\n")
    }

    @Test func descriptorsMaySwapPlaces() throws {
        let first = try open("/dev/null", .readWrite)
        let second = try open("/dev/zero", .readWrite)
        let output = try output("readlink /proc/self/fd/\(first.number) /proc/self/fd/\(second.number)") {
            $0.descriptors = [first.number: second.number, second.number: first.number]
        }
        #expect(output.text == "/dev/zero\n/dev/null\n")
    }

    @Test func longOutputIsCutAndDoesNotBlock() throws {
        let settings = ChildProcess.Settings(["sh", "-c", "head -c 3000000 /dev/zero"])
        let output = try ChildProcess.output(of: settings, limitBytes: 1000)
        #expect(output.text.utf8.count == 1000)
        #expect(output.isSuccess)
    }
}

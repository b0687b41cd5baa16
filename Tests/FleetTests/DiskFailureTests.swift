import AgentClient
import AgentProtocol
import Testing

@testable import Fleet

/// What the monitor says of disks that this computer cannot read or write.
@Suite struct DiskFailureTests {
    private let line =
        "swiftlet-vmm: drive \"root\", segment 1 \"/a/b\": input/output error at byte 4096 of the drive; the guest is told, and further errors of this drive are not reported"

    private func write(_ text: String, to watch: DiskFailureWatch, _ stream: ProcessStream = .standardError) {
        _ = watch.write(Array(text.utf8).span, from: stream)
    }

    @Test func `a disk that cannot be read is told with the file and the place`() throws {
        let failure = try #require(DiskFailure(monitorLine: line, atSeconds: 7))
        #expect(failure.drive == "root" && failure.isOfImage && failure.byte == 4096 && failure.seconds == 7)
        #expect(failure.reason == "segment 1 \"/a/b\": input/output error")
        #expect(failure.message(image: "web").hasPrefix("the disk of the image \"web\" cannot be read at byte 4096, "))
        let volume = line.replacing("\"root\", segment 1", with: "\"disk0\",")
        #expect(try #require(DiskFailure(monitorLine: volume, atSeconds: 7)).message(image: "web").contains("disk0"))
    }

    @Test(arguments: [
        "", "swiftlet-vmm: the guest powered off", "swiftlet-vmm: drive \"root\", of the drive; the guest is told, ",
        "swiftlet-vmm: drive \"root\", x at byte -1 of the drive; the guest is told, ",
        "swiftlet-vmm: drive \"root at byte 1 of the drive; the guest is told, \", ",
        "swiftlet-vmm: drive \"\", at byte  of the drive; the guest is told, ",
        "drive \"root\", x at byte 1 of the drive; the guest is told, ",
    ])
    func `other lines are not taken for it`(line: String) {
        #expect(DiskFailure(monitorLine: line, atSeconds: 0) == nil)
    }

    @Test func `a path may hold the monitor's own words`() throws {
        let path = "/a\", b at byte 1 of the drive; the guest is told, c"
        let failure = try #require(DiskFailure(monitorLine: line.replacing("/a/b", with: path), atSeconds: 7))
        #expect(failure.byte == 4096 && failure.reason.contains(path))
    }

    @Test func `the monitor's lines are heard in any pieces, the guest's console never`() throws {
        let console = CollectedOutput()
        let watch = try DiskFailureWatch(console)
        write(line + "\n", to: watch, .standardOutput)
        #expect(watch.take().isEmpty)
        for character in line { write(String(character), to: watch) }
        #expect(watch.take().isEmpty)
        write("\n\(line)\nsomething else\n", to: watch)
        #expect(watch.take().count == 2 && watch.take().isEmpty)
        write(String(repeating: "x", count: 100_000) + line + "\n", to: watch)
        #expect(watch.take().isEmpty)
        write(String(repeating: line + "\n", count: 1000), to: watch)
        #expect((1...64).contains(watch.take().count))
        #expect(console.bytes(of: .standardOutput).count == line.utf8.count + 1)
    }
}

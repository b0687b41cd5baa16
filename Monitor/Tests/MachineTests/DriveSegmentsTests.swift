import Foundation
import Machine
import MachineConfiguration
import Testing

@Suite struct DriveSegmentsTests {
    private final class Folder {
        let path = NSTemporaryDirectory() + "swiftlet-segments-\(UInt64.random(in: 0 ... .max))"
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func file(_ name: String, _ lengthBytes: Int) throws -> String {
            let file = path + "/" + name
            try Data(count: lengthBytes).write(to: URL(filePath: file))
            return file
        }
    }

    private func refusal(_ segments: [String]) -> String? {
        var drive = VirtualMachineConfiguration.Drive(id: "root", pathOnHost: "")
        drive.segments = segments
        drive.isReadOnly = true
        do throws(MachineError) {
            _ = try DriveSegments(drive).open()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `whole blocks of 4096 bytes are taken`() throws {
        let folder = try Folder()
        var drive = VirtualMachineConfiguration.Drive(id: "root", pathOnHost: "")
        drive.segments = [try folder.file("a", 4096), try folder.file("b", 12288), try folder.file("c", 4096)]
        let backend = try DriveSegments(drive).open()
        #expect(backend.capacitySectors == 40 && backend.isReadOnly)
    }

    @Test func `an error names the segment`() throws {
        let folder = try Folder()
        let good = try folder.file("good", 4096)
        let odd = try folder.file("odd", 4097)
        let empty = try folder.file("empty", 0)
        let rule = "wanted whole blocks of 4096 bytes, at least one"
        #expect(refusal([odd]) == "drive \"root\", segment 0 \"\(odd)\": it has 4097 bytes; \(rule)")
        #expect(refusal([good, empty]) == "drive \"root\", segment 1 \"\(empty)\": it has 0 bytes; \(rule)")
        let missing = folder.path + "/missing"
        #expect(refusal([good, good, missing])?.hasPrefix("drive \"root\", segment 2 \"\(missing)\": ") == true)
        #expect(refusal([good, folder.path])?.hasPrefix("drive \"root\", segment 1 \"\(folder.path)\": ") == true)
        #expect(refusal(["/dev/null"])?.hasPrefix("drive \"root\", segment 0 \"/dev/null\": ") == true)
    }
}

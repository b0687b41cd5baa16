import LinuxCalls
import MachineConfiguration
import VirtioDevices

/// The files of a drive that is made of several, opened in their order.
public struct DriveSegments {
    /// Each file is whole blocks of so many bytes, so that no page of the guest lies in two of them.
    static let blockBytes: UInt64 = 4096

    private let drive: VirtualMachineConfiguration.Drive

    /// - Parameter drive: one with segments.
    public init(_ drive: VirtualMachineConfiguration.Drive) { self.drive = drive }

    /// - Throws: an error that names the segment.
    public func open() throws(MachineError) -> BlockBackend {
        let first = try open(0)
        let firstBytes = try lengthBytes(0, first)
        var files = FileSequence(first, lengthBytes: firstBytes, capacity: drive.segments.count)
        for index in 1..<max(drive.segments.count, 1) {
            let file = try open(index)
            let lengthBytes = try lengthBytes(index, file)
            do throws(LinuxError) {
                try files.append(file, lengthBytes: lengthBytes)
            } catch {
                throw .file(purpose: name(index), path: drive.segments[index], error)
            }
        }
        return BlockBackend(readOnly: files)
    }

    private func open(_ index: Int) throws(MachineError) -> FileDescriptor {
        do throws(LinuxError) {
            // A pipe that nobody writes to must not hold up a monitor that hears no signal yet.
            return try LinuxCalls.open(drive.segments[index], [.readOnly, .nonBlocking])
        } catch {
            throw .file(purpose: name(index), path: drive.segments[index], error)
        }
    }

    private func lengthBytes(_ index: Int, _ file: borrowing FileDescriptor) throws(MachineError) -> UInt64 {
        let path = drive.segments[index]
        let lengthBytes: UInt64
        do throws(LinuxError) { lengthBytes = try BlockBackend.lengthBytes(of: file) } catch {
            throw .file(purpose: name(index), path: path, error)
        }
        guard lengthBytes > 0, lengthBytes % Self.blockBytes == 0 else {
            throw .device(
                "\(name(index)) \"\(path)\": it has \(lengthBytes) bytes; wanted whole blocks of \(Self.blockBytes) "
                    + "bytes, at least one")
        }
        return lengthBytes
    }

    private func name(_ index: Int) -> String { "drive \"\(drive.id)\", segment \(index)" }
}

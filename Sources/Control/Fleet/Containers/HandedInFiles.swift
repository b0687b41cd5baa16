import AgentClient
import CLinux
import FoundationEssentials
import LinuxCalls

/// Files that are handed in at a machine's start, on their way to the process that owns the machine.
///
/// They go through memory alone: a file without a name and without a disk, which the background process inherits. No record
/// holds more than their places.
public enum HandedInFiles {
    /// All of them together.
    public static let mostBytes = 16 << 20

    /// The files in such a file, at its beginning.
    static func pack(_ files: [HandedInFile]) throws(LinuxError) -> FileDescriptor {
        var name = Array("swiftlet-files".utf8) + [0]
        // SAFETY: the name ends with a zero byte and outlives the call.
        let number = unsafe try name.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
            unsafe try systemCall(__NR_memfd_create, Int(bitPattern: buffer.baseAddress), 1)  // MFD_CLOEXEC
        }
        let file = FileDescriptor(owning: Int32(truncatingIfNeeded: number))
        guard let data = try? JSONEncoder().encode(files) else { throw LinuxError.invalidArgument }
        try writeAll(file.number, [UInt8](data))
        // SAFETY: no address is passed. SEEK_SET.
        _ = unsafe try systemCall(__NR_lseek, Int(file.number), 0, 0)
        return file
    }

    static func unpack(_ descriptor: Int32) throws(LinuxError) -> [HandedInFile] {
        var bytes: [UInt8] = []
        while try read(descriptor, appendingTo: &bytes, maximumBytes: 1 << 20) > 0 {}
        guard let files = try? JSONDecoder().decode([HandedInFile].self, from: Data(bytes)) else {
            throw LinuxError.invalidArgument
        }
        return files
    }

    /// Neither this process nor the monitor that it starts leaves its memory on a disk when it crashes.
    static func forbidCoreDumps() {
        var limit: [UInt64] = [0, 0]
        // SAFETY: the kernel reads the two numbers during the call. RLIMIT_CORE is 4.
        _ = unsafe limit.withUnsafeMutableBufferPointer { buffer in
            unsafe try? systemCall(__NR_prlimit64, 0, 4, Int(bitPattern: buffer.baseAddress), 0)
        }
    }
}

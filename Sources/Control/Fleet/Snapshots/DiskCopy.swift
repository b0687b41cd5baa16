import CLinux
import HostFiles
import LinuxCalls

/// Whole copies of disks: shared blocks where the file system can (btrfs, XFS, bcachefs), which takes no time and no room until
/// one of the two is written to, and otherwise bytes, without the holes.
enum DiskCopy {
    /// FICLONE: _IOW(0x94, 9, int). Source: linux/fs.h.
    private static let cloneRequest = 0x4004_9409
    private static let chunkBytes = 1 << 20

    /// Makes `target`, or what is in it, the same as `source`. The file stays the one that it is, with its locks.
    static func copy(_ source: HostPath, over target: HostPath) throws(HostFileError) {
        let from = try HostFile(source)
        let to = try HostFile(target, [.readWrite, .create], mode: 0o600)
        // SAFETY: the argument is a descriptor, no address is passed.
        if (unsafe try? systemCall(
            __NR_ioctl, Int(to.descriptorNumber), cloneRequest, Int(from.descriptorNumber))) != nil
        {
            return
        }
        // What it has is let go of first, so that holes become holes.
        try to.truncate(to: 0)
        let size = try source.status().sizeBytes
        var buffer = [UInt8](repeating: 0, count: chunkBytes)
        var offset: UInt64 = 0
        while offset < size, let run = try from.nextData(from: offset) {
            offset = run.lowerBound
            while offset < run.upperBound {
                let count = try from.read(min(chunkBytes, Int(run.upperBound - offset)), at: offset, into: &buffer)
                // Somebody has cut the file off.
                guard count > 0 else { return try to.truncate(to: size) }
                try to.write(buffer.span.extracting(0..<count), at: offset)
                offset += UInt64(count)
            }
        }
        try to.truncate(to: size)
    }
}

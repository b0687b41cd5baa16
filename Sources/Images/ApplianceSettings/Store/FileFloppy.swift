import HostFiles
import SettingsFloppy

/// A floppy in a file of the host.
struct FileFloppy: SectorStorage, ~Copyable {
    let sectorCount: Int
    private let file: HostFile

    init(_ path: HostPath, isWritable: Bool) throws(HostFileError) {
        let file = try HostFile(path, isWritable ? .readWrite : .readOnly)
        sectorCount = Int(clamping: try file.status().sizeBytes / UInt64(FAT12Volume.sectorBytes))
        self.file = file
    }

    func read(_ count: Int, from first: Int) throws(FloppyError) -> [UInt8] {
        let wanted = count * FAT12Volume.sectorBytes
        var bytes = [UInt8](repeating: 0, count: wanted)
        do throws(HostFileError) {
            guard try file.read(wanted, at: UInt64(first * FAT12Volume.sectorBytes), into: &bytes) == wanted else {
                throw HostFileError("read", file.path, .init(5))
            }
        } catch {
            throw .device(error.reason.number)
        }
        return bytes
    }

    mutating func write(_ bytes: [UInt8], at first: Int) throws(FloppyError) {
        do throws(HostFileError) { try file.write(bytes, at: UInt64(first * FAT12Volume.sectorBytes)) } catch {
            throw .device(error.reason.number)
        }
    }

    mutating func flush() throws(FloppyError) {
        do throws(HostFileError) { try file.synchronize() } catch { throw .device(error.reason.number) }
    }
}

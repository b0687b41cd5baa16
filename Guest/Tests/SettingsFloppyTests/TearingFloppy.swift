@testable import SettingsFloppy

/// A floppy whose power fails after so many sectors were written, the last of them in part.
struct TearingFloppy: SectorStorage {
    struct Cut: Equatable {
        var sectors: Int
        /// How much of the sector after them arrives.
        var bytes = 0
    }

    private(set) var floppy: MemoryFloppy
    private(set) var writtenSectors = 0
    /// Nil: the power stays.
    var cut: Cut?

    init(_ bytes: [UInt8], cut: Cut? = nil) {
        floppy = MemoryFloppy(bytes)
        self.cut = cut
    }

    var sectorCount: Int { floppy.sectorCount }

    func read(_ count: Int, from first: Int) throws(FloppyError) -> [UInt8] { try floppy.read(count, from: first) }

    mutating func write(_ bytes: [UInt8], at first: Int) throws(FloppyError) {
        for index in 0..<bytes.count / 512 {
            let sector = [UInt8](bytes[index * 512..<(index + 1) * 512])
            if let cut, writtenSectors == cut.sectors {
                let old = try floppy.read(1, from: first + index)
                try floppy.write([UInt8](sector[..<cut.bytes] + old[cut.bytes...]), at: first + index)
                throw .device(5)
            }
            try floppy.write(sector, at: first + index)
            writtenSectors += 1
        }
    }

    mutating func flush() throws(FloppyError) {
        if let cut, writtenSectors >= cut.sectors, cut.bytes == 0 { throw .device(5) }
    }
}

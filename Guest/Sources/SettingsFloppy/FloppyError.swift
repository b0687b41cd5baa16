/// Why a floppy cannot be read or written.
public enum FloppyError: Error, Equatable, Sendable {
    /// The device refused; the kernel's number.
    case device(Int32)
    /// The volume is not FAT12 as it is described in Documentation/floppy.md, or is damaged.
    case notAVolume(VolumeFault)
    /// The volume has no slots for settings, or they are damaged.
    case noSlots
    /// Neither slot holds a generation that may be used.
    case noGeneration
    /// Settings longer than a slot.
    case tooLong(maximumBytes: Int)
    /// What was written reads back differently: the medium is bad.
    case notKept
    /// The numbers of generations are used up.
    case exhausted
    /// A name that the header has no room for.
    case invalidName
}

/// What is wrong with a volume.
public enum VolumeFault: Equatable, Sendable {
    case signature, sectorSize, geometry, notFAT12, tooShort
}

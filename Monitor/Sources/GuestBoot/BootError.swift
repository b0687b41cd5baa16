public import GuestMemory
public import LinuxCalls

/// Why a guest could not be prepared. Nothing has run then; guest memory may hold a part of the image.
public enum BootError: Error, Equatable, Sendable {
    case kernelUnreadable(LinuxError)
    case kernelEmpty
    /// Neither ELF nor bzImage.
    case kernelFormatUnknown(ForeignFormat)
    /// The file ends before something that it says it has.
    case kernelTruncated(KernelPart, neededBytes: UInt64, fileBytes: UInt64)
    case kernelForOtherProcessor(machine: UInt16)
    case kernelFor32Bit(KernelFormat)
    case kernelMalformed(KernelDefect)
    /// The kernel needs memory that the machine has not.
    case kernelTooLarge(neededBytes: UInt64, memoryBytes: UInt64)
    case protocolUnavailable(BootProtocol, KernelFormat)
    case initialRamDiskUnreadable(index: Int, LinuxError)
    /// An initial RAM disk became shorter while it was read.
    case initialRamDiskTruncated(index: Int)
    case initialRamDiskTooLarge(bytes: UInt64, availableBytes: UInt64, memoryBytes: UInt64)
    case commandLineTooLong(bytes: Int, maximumBytes: Int)
    case commandLineHasZeroByte
    case memoryTooSmall(memoryBytes: UInt64)
    case processorCountUnsupported(Int)
    case tooManyDevices(Int)
    /// Our own plan did not fit guest memory.
    case guestMemory(GuestMemoryError)
}

/// A part of a kernel file.
public enum KernelPart: Equatable, Sendable {
    case header
    case programHeaders
    case segment(Int)
    case setupCode
    case protectedModeCode
}

/// What a kernel file says that cannot be.
public enum KernelDefect: Equatable, Sendable {
    case bigEndian
    case notExecutable(type: UInt16)
    case programHeaderSize(UInt16)
    case programHeaderCount(UInt16)
    case needsInterpreter
    case noSegments
    case segmentLongerInFile(Int)
    case segmentWrapsAround(Int)
    case segmentTooLow(Int, address: UInt64)
    case segmentsOverlap(Int, Int)
    case entryOutside(UInt64)
    case protocolTooOld(version: UInt16)
    case loadsLow
    case alignment(UInt32)
    case loadAddress(UInt64)
    case sizes
}

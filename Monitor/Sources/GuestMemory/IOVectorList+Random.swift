import CLinux
public import LinuxCalls

extension IOVectorList {
    /// Fills the listed bytes with the kernel's random ones.
    ///
    /// - Throws: what getrandom(2) answers; part of the bytes may be filled then.
    public borrowing func fillWithRandomBytes() throws(LinuxError) {
        for index in first..<first &+ count {
            var done = 0
            // SAFETY: each vector is a checked range that stays mapped.
            let vector = unsafe storage[index]
            let length = unsafe Int(truncatingIfNeeded: vector.length)
            while done < length {
                done &+= unsafe try systemCallRestarting(
                    __NR_getrandom, Int(bitPattern: vector.base) &+ done, length &- done, 0)
            }
        }
    }
}

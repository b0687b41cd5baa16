import CLinux
public import LinuxCalls

/// A call to KVM that did not go well: which call, and what the kernel said.
public struct KVMError: Error, Equatable, Sendable, CustomStringConvertible {
    public let call: StaticString
    public let cause: LinuxError

    public init(_ call: StaticString, _ cause: LinuxError) {
        self.call = call
        self.cause = cause
    }

    public static func == (left: KVMError, right: KVMError) -> Bool { left.cause == right.cause }

    public var description: String { "\(call): \(cause)" }
}

/// One ioctl that carries a number or nothing.
@discardableResult
func control(
    _ descriptor: Int32, _ request: UInt, _ name: StaticString, argument: Int = 0
) throws(KVMError) -> Int {
    do throws(LinuxError) {
        // SAFETY: the argument is no address.
        return unsafe try systemCallRestarting(__NR_ioctl, Int(descriptor), Int(bitPattern: request), argument)
    } catch {
        throw KVMError(name, error)
    }
}

/// One ioctl that reads or fills a structure.
@discardableResult
func control<T>(
    _ descriptor: Int32, _ request: UInt, _ structure: inout T, _ name: StaticString
) throws(KVMError) -> Int {
    do throws(LinuxError) {
        // SAFETY: each request is paired with its own structure by the callers in this module, and the kernel touches
        // it only during the call.
        return unsafe try withUnsafeMutablePointer(to: &structure) { pointer throws(LinuxError) in
            unsafe try systemCallRestarting(
                __NR_ioctl, Int(descriptor), Int(bitPattern: request), Int(bitPattern: pointer))
        }
    } catch {
        throw KVMError(name, error)
    }
}

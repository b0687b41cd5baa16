import FoundationEssentials

@testable import GuestKernels

/// A kernel store in a folder of its own, gone afterwards.
final class TemporaryStore {
    let folder: String
    let store: KernelStore

    init() throws {
        let number = UInt64.random(in: 0 ... .max)
        folder = FileManager.default.temporaryDirectory.path + "/kernels-test-" + String(number, radix: 16)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        store = KernelStore(root: folder + "/kernels")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Writes a file that begins as a kernel does.
    func kernelFile(_ content: String, named name: String = "given") throws -> String {
        let path = folder + "/" + name
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1] + [UInt8](repeating: 0, count: 58)
        bytes[18] = 62
        try Data(bytes + Array(content.utf8)).write(to: URL(filePath: path))
        return path
    }

    func file(_ content: [UInt8], named name: String) throws -> String {
        let path = folder + "/" + name
        try Data(content).write(to: URL(filePath: path))
        return path
    }

    /// Everything in the store's folder, hidden names too.
    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: store.root)) ?? []).sorted() }
}

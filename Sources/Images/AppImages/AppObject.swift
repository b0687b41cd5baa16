import HostFiles

/// An ELF file that goes into an image.
struct AppObject {
    /// Here.
    let path: String
    /// In the image.
    let place: String
    let elf: ElfProgram
    /// Which one asked for it first; nil for the program and its interpreter.
    let loader: Int?

    /// - Throws: `AppError` for a file that cannot be read, `ElfError` for what is in it.
    init(_ path: String, at place: String, loadedBy loader: Int? = nil) throws {
        self.path = path
        self.place = place
        self.loader = loader
        let file = try Self.open(path)
        elf = try ElfProgram { (offset, count) throws(HostFileError) in
            guard offset <= UInt64(Int.max) - UInt64(count) else { return [] }
            var bytes = [UInt8](repeating: 0, count: count)
            let found = try file.read(count, at: offset, into: &bytes)
            return Array(bytes.prefix(found))
        }
    }

    private static func open(_ path: String) throws(AppError) -> HostFile {
        do throws(HostFileError) {
            // Opening a pipe would wait for its other end.
            if try HostPath(path).status().isRegularFile { return try HostFile(HostPath(path)) }
        } catch {
            throw AppError(.unusableFile, "\(error)")
        }
        throw AppError(.notAProgram, "\(path) is no file")
    }
}
